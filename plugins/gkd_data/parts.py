"""parts: generated objects of several surfaces, the segmentation data that needs no file."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from gkd import ParameterError, UnknownNameError
from gkd.errors import suggestion, validated
from gkd.functional.memory import require_memory
from gkd_data.in_memory import InMemoryDataset
from gkd_data.part_clouds import PartScan, scan_object
from gkd_data.shape_classes import SHAPES


class Parts(InMemoryDataset):
    """Point clouds of objects that are put together of some surfaces; each point has its part.

    An object has 2 to ``most`` different parts, each a surface of ``gkd_data.shape_classes`` of
    random proportions, scaled to a radius r ∈ U[0.5, 1]. The first lies at the origin, and each
    further one touches or overlaps one before it, in a random direction:

        centre    c ← c' + (r + r') u d,   u ∈ U[0.6, 1],   d uniform on the sphere

    Points are drawn uniformly from all surfaces together, the object is turned, and measured with
    noise: p_i ← unit(unit(p)_i + noise · ε_i). What a part is shows in its surface alone: not in
    its place, nor in its size.

    A sample is ``pos [points, 3]`` and the part of each point ``y [points]``. It depends on the
    seed, its split and number alone.

    Args:
        seed: seed of everything random; equal parameters give equal samples.
        points: points per sample.
        train_objects: number of training objects; more of them leave the others as they are.
        validation_objects: number of validation objects.
        test_objects: number of test objects.
        most: largest number of parts of an object.
        noise: deviation of the noise, as a share of the object's radius.
        rotation: axes about which objects are turned.
        classes: names of the surfaces that parts may be; none takes five of them.

    Raises:
        ParameterError: fewer classes than parts, or one twice, or more data than memory.
        UnknownNameError: there is no such class.

    >>> data = Parts(points=32, train_objects=2, validation_objects=1, test_objects=1)
    >>> data.class_names[0], data.train[0]
    ('ellipsoid', Sample(id='train-0', pos=[32, 3], y=[32]))
    """

    task = "segmentation"
    inputs = ("pos", "batch")
    num_features = 3

    @validated
    def __init__(
        self,
        seed: NonNegativeInt = 0,
        points: Annotated[int, Field(ge=2)] = 128,  # one point has no size
        train_objects: PositiveInt = 200,
        validation_objects: PositiveInt = 40,
        test_objects: PositiveInt = 80,
        most: Annotated[int, Field(ge=2)] = 3,
        noise: Annotated[float, Field(ge=0, le=1)] = 0.01,
        rotation: Literal["all", "z", "none"] = "z",
        classes: tuple[str, ...] = ("ellipsoid", "box", "cone", "torus", "helix"),
    ) -> None:
        for name in classes:
            if name not in SHAPES:
                raise UnknownNameError(f"parts has no class {name!r}: {suggestion(name, SHAPES)}")
        if len(set(classes)) < max(len(classes), most):
            raise ParameterError(
                f"parts: classes must be at least {most} different ones, as an object has up to "
                f"{most} parts, not {classes}"
            )
        require_memory(
            (train_objects + validation_objects + test_objects) * (2048.0 + 20 * points)
            + 200.0 * points,
            "parts",
            train_objects=train_objects,
            validation_objects=validation_objects,
            test_objects=test_objects,
            points=points,
        )
        counts = {"train": train_objects, "validation": validation_objects, "test": test_objects}
        self.class_names = classes
        self.num_classes = len(classes)
        scan = PartScan(points, most, noise, rotation, classes)
        self.train, self.validation, self.test = (
            [scan_object(scan, seed, split, i) for i in range(count)]
            for split, count in counts.items()
        )
