"""objects: a folder of one's own meshes or point clouds, one sub-folder per class."""

from pathlib import Path

import numpy as np
from pydantic import PositiveInt

from gkd import ParameterError
from gkd.errors import validated
from gkd.functional.memory import require_memory
from gkd_data.object_files import find_objects, read_objects
from gkd_data.point_clouds import Fraction, PointCloudDataset, hold_out


class Objects(PointCloudDataset):
    """Objects of one's own: a folder with one sub-folder per class.

    A class has its objects in ``CLASS/``, or in ``CLASS/train/`` and ``CLASS/test/`` as ModelNet
    has them; without these, test objects are held out from all, the same share of every class.
    Validation objects are held out from what is left to train on. An object is one file:

        .off   a mesh; ``surface_points`` are drawn once from its surface, uniformly by area
        .npy   a cloud, floating-point ``[P, 3]``
        .ply   a cloud, ASCII or binary; its faces are not looked at

    All clouds hold numbers of the same type. Each is centred, scaled into the unit sphere and put
    in random order. A sample is ``pos [points, 3]`` and ``y [1]``: of a validation or test object
    the first points, of a training object others in each epoch, scaled per axis by 2/3 to 3/2 and
    shifted by up to 0.2.

    Args:
        root: folder of the classes; or the folder that has it.
        points: points per sample, at most as many as each cloud has.
        surface_points: points drawn from a mesh, at least ``points``.
        augment: draw training samples anew in each epoch; False takes the first points.
        test_fraction: share of the objects held out for testing, where there is no ``test/``.
        validation_fraction: share of the other objects held out for validation.
        seed: of everything random.

    Raises:
        DataError: the folder is not laid out so, or an object is damaged, too small or mistyped.
        ParameterError: fewer points of a mesh than of a sample, or more than memory.
    """

    @staticmethod
    def example_parameters(folder: Path) -> tuple[dict[str, object], ...]:
        """Write ten small clouds of either of two classes, for checks."""
        for kind, flatness in (("ball", 1.0), ("disc", 0.01)):
            (folder / kind).mkdir(exist_ok=True)
            for number in range(10):
                cloud = np.random.default_rng(number).normal(size=(24, 3)) * (1, 1, flatness)
                np.save(folder / kind / f"{number}.npy", cloud.astype(np.float32))
        return ({"root": folder, "points": 16},)

    @validated
    def __init__(
        self,
        root: str | Path,
        points: PositiveInt = 1024,
        surface_points: PositiveInt = 2048,
        augment: bool = True,
        test_fraction: Fraction = 0.2,
        validation_fraction: Fraction = 0.1,
        seed: int = 0,
    ) -> None:
        if surface_points < points:
            raise ParameterError(
                f"objects: surface_points must be at least {points}, the points of a sample, got "
                f"{surface_points}"
            )
        root = Path(root).expanduser()
        found = find_objects(root)
        require_memory(
            sum(map(len, found.files.values())) * 12.0 * surface_points + 200.0 * surface_points,
            "objects",
            surface_points=surface_points,
        )
        splits = read_objects(root, found, points, surface_points, seed)
        if "test" in splits:
            rest, test = splits["train"], splits["test"]
        else:
            rest, test = hold_out(splits[""], test_fraction, found.class_names, str(root), seed)
        train, validation = hold_out(
            rest, validation_fraction, found.class_names, f"{root}, to train on", seed
        )
        super().__init__(train, validation, test, found.class_names, points, augment, seed)
