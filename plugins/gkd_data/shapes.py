"""shapes: generated surfaces seen as point clouds, the point-cloud data that needs no file."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from gkd import ParameterError, UnknownNameError
from gkd.errors import suggestion, validated
from gkd.functional.memory import require_memory
from gkd_data.point_clouds import PointCloudDataset
from gkd_data.shape_classes import SHAPES
from gkd_data.shape_clouds import Scan, scan_shapes


class Shapes(PointCloudDataset):
    """Point clouds from 16 classes of surfaces, some of them hard to tell apart.

    An object is a surface of random proportions (``gkd_data.shape_classes`` has the formulas),
    stretched along its axes, turned, seen from one side and measured with noise. With p_i uniform
    on the stretched surface, ε_i standard normal, and ``unit`` centring and scaling a cloud into
    the unit sphere:

        stretch   a_k = exp(stretch · u_k),   u ∈ U[−1, 1]³
        pose      p_i ← R (a ⊙ p_i),   R uniform over rotations about all axes, about z, or none
        view      of ⌈points / visible⌉ points, those farthest along a random direction d
        noise     p_i ← unit(unit(p)_i + noise · ε_i)

    A sample is ``pos [points, 3]`` and its class ``y [1]``. It depends on the seed, its split,
    class and number alone: more objects, or fewer classes, leave the other objects as they are.

    Args:
        seed: seed of everything random; equal parameters give equal samples.
        points: points per sample.
        train_per_class: training objects of each class.
        validation_per_class: validation objects of each class.
        test_per_class: test objects of each class.
        noise: deviation of the noise, as a share of the object's radius.
        visible: share of the surface that is seen.
        rotation: axes about which objects are turned.
        stretch: largest logarithm of the factor that stretches an object along an axis.
        classes: names of the classes to use; none is all of them.
        augment: scale, shift and shuffle training samples anew in each epoch.

    Raises:
        ParameterError: fewer than two classes, or one twice, or more data than memory.
        UnknownNameError: there is no such class.

    >>> data = Shapes(points=32, train_per_class=2, classes=("torus", "moebius"))
    >>> data.class_names, len(data.train), data.train[0]
    (('torus', 'moebius'), 4, Sample(id='train/torus/0', pos=[32, 3], y=[1]))
    """

    @validated
    def __init__(
        self,
        seed: int = 0,
        points: Annotated[int, Field(ge=2)] = 256,  # one point has no size
        train_per_class: PositiveInt = 60,
        validation_per_class: PositiveInt = 10,
        test_per_class: PositiveInt = 25,
        noise: Annotated[float, Field(ge=0, le=1)] = 0.02,
        visible: Annotated[float, Field(ge=0.1, le=1)] = 0.85,
        rotation: Literal["all", "z", "none"] = "all",
        stretch: Annotated[float, Field(ge=0, le=2)] = 0.2,
        classes: tuple[str, ...] = (),
        augment: bool = False,
    ) -> None:
        counts = {
            "train": train_per_class,
            "validation": validation_per_class,
            "test": test_per_class,
        }
        for name in classes:
            if name not in SHAPES:
                raise UnknownNameError(f"shapes has no class {name!r}: {suggestion(name, SHAPES)}")
        if len(set(classes)) < len(classes) or len(classes) == 1:
            raise ParameterError(
                f"shapes: classes must be at least two different ones, not {classes}"
            )
        names = classes or tuple(SHAPES)
        require_memory(
            len(names) * sum(map(float, counts.values())) * (2048 + 12 * points) + 400.0 * points,
            "shapes",
            train_per_class=train_per_class,
            validation_per_class=validation_per_class,
            test_per_class=test_per_class,
            points=points,
        )
        scan = Scan(points, noise, visible, rotation, stretch)
        train, validation, test = (
            scan_shapes(names, count, scan, seed, split) for split, count in counts.items()
        )
        super().__init__(train, validation, test, names, points, augment, seed)
