"""objects: a folder of one's own meshes or point clouds, one sub-folder per class."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from gkd import DataError
from gkd_data.archive import npy_array
from gkd_data.clouds import Clouds, unit_cloud
from gkd_data.mesh import surface_points
from gkd_data.object_files import object_files
from gkd_data.off import read_off
from gkd_data.ply import read_ply
from gkd_data.point_clouds import PointCloudDataset
from gkd_data.random_states import random_state
from gkd_data.ranges import check_fraction, check_range
from gkd_data.splits import held_out


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
        root: the folder.
        points: points per sample, at most as many as each cloud has.
        surface_points: points drawn from a mesh, at least ``points``.
        augment: draw training samples anew in each epoch; False takes the first points.
        test_fraction: share of the objects held out for testing, where there is no ``test/``.
        validation_fraction: share of the other objects held out for validation.
        seed: of everything random.

    Raises:
        DataError: the folder is not laid out so, or an object is damaged, too small or mistyped.
        ParameterError: a value is out of its range.
    """

    def __init__(
        self,
        root: str | Path,
        points: int = 1024,
        surface_points: int = 2048,
        augment: bool = True,
        test_fraction: float = 0.2,
        validation_fraction: float = 0.1,
        seed: int = 0,
    ) -> None:
        check_range("objects", "points", points, 1)
        check_range("objects", "surface_points", surface_points, points)
        check_fraction("objects", "test_fraction", test_fraction)
        check_fraction("objects", "validation_fraction", validation_fraction)
        root = Path(root).expanduser()
        found = object_files(root, frozenset(_READERS))
        reader = _ObjectReader(root, points, surface_points, seed)
        splits = {name: reader.clouds(files) for name, files in found.files.items()}
        if "test" in splits:
            rest, test = splits["train"], splits["test"]
        else:
            rest, test = held_out(splits[""], test_fraction, found.class_names, str(root), seed)
        train, validation = held_out(
            rest, validation_fraction, found.class_names, f"{root}, to train on", seed
        )
        super().__init__(train, validation, test, found.class_names, points, augment, seed)


class _ObjectReader:
    """Reads files as clouds, and sees to it that they go together."""

    def __init__(self, root: Path, points: int, surface_points: int, seed: int) -> None:
        self._root = root
        self._points = points
        self._surface_points = surface_points
        self._seed = seed
        self._first: tuple[Path, np.dtype] | None = None

    def clouds(self, files: list[tuple[Path, int]]) -> Clouds:
        """Return the objects of some files with their labels."""
        ids = tuple(file.relative_to(self._root).as_posix() for file, _ in files)
        return Clouds(
            ids=ids,
            positions=tuple(
                self._cloud(file, id) for (file, _), id in zip(files, ids, strict=True)
            ),
            labels=np.array([label for _, label in files], dtype=np.int64),
        )

    def _cloud(self, file: Path, id: str) -> np.ndarray:
        rng = random_state(self._seed, "object", id)
        positions = _READERS[file.suffix.lower()](file, self._surface_points, rng)
        if file.suffix.lower() not in _MESHES:
            self._check_type(file, positions.dtype)
        return unit_cloud(positions, self._points, str(file))

    def _check_type(self, file: Path, dtype: np.dtype) -> None:
        self._first = self._first or (file, dtype)
        if dtype != self._first[1]:
            raise DataError(f"{file} holds {dtype}, but {self._first[0]} holds {self._first[1]}")


def _mesh_points(file: Path, points: int, rng: np.random.Generator) -> np.ndarray:
    return surface_points(read_off(file), points, rng)


def _npy_points(file: Path, points: int, rng: np.random.Generator) -> np.ndarray:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    positions = npy_array(content, str(file), ndim=2)
    if positions.dtype.kind != "f" or positions.shape[1] != 3:
        raise DataError(
            f"{file} must hold floating-point numbers [points, 3], not {positions.dtype} "
            f"{list(positions.shape)}"
        )
    return rng.permutation(positions)


def _ply_points(file: Path, points: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(read_ply(file))


_MESHES = frozenset({".off"})
_READERS: Mapping[str, Callable[[Path, int, np.random.Generator], np.ndarray]] = {
    ".off": _mesh_points,
    ".npy": _npy_points,
    ".ply": _ply_points,
}
