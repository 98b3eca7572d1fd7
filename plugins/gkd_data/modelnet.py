"""ModelNet: CAD models of objects as point clouds, in the layout of the public HDF5 files."""

from pathlib import Path

from pydantic import PositiveInt

from gkd.errors import validated
from gkd_data.modelnet_shards import CLASSES, LISTS, list_shards, read_class_names, read_clouds
from gkd_data.point_clouds import Fraction, PointCloudDataset, hold_out
from gkd_data.public_archive import PublicArchive

PUBLIC_ARCHIVE = PublicArchive(
    title="ModelNet40",
    url="https://shapenet.cs.stanford.edu/media/modelnet40_ply_hdf5_2048.zip",
    # As TensorFlow Graphics publishes it.
    sha256="07670e237db72ece0f723b9abb571534c9ad655a6456b389646587dc72bb8bae",
)


class ModelNet40(PointCloudDataset):
    """Point clouds from the surfaces of CAD models: 40 classes, 9,840 to train on, 2,468 to test.

    Reads any data set in the layout of ``modelnet40_ply_hdf5_2048``, whatever its classes, shards
    and points: ``shape_names.txt`` (one class per line), ``train_files.txt`` and
    ``test_files.txt`` (one shard per line; only its base name counts), and the shards with
    ``data [n, P, 3]`` (float16, float32 or float64, the same in all) and ``label [n]`` or
    ``[n, 1]``.

    Every cloud is centred and scaled into the unit sphere. Validation objects are held out from
    the training objects, the same share of every class. A sample is ``pos [points, 3]`` and
    ``y [1]``: of a validation or test object the first points, of a training object others in
    each epoch, in random order, scaled per axis by 2/3 to 3/2 and shifted by up to 0.2.

    Args:
        root: folder of the files, or their zip archive; or the folder that has it.
        points: points per sample, at most as many as each cloud has.
        augment: draw training samples anew in each epoch; False takes the first points.
        validation_fraction: share of the training objects held out for validation.
        seed: of the augmentation and of the choice of validation objects.
        download: fetch the public archive into ``root``, an empty folder that is there.

    Raises:
        DataError: the archive is missing and cannot be fetched, or is not what it should be.

    Source: Wu et al., CVPR 2015; sampled as points by Qi et al., CVPR 2017 (PointNet).
    """

    example_parameters = ({"root": "modelnet10_hdf5_1024", "download": False},)

    @validated
    def __init__(
        self,
        root: str | Path,
        points: PositiveInt = 1024,
        augment: bool = True,
        validation_fraction: Fraction = 0.1,
        seed: int = 0,
        download: bool = True,
    ) -> None:
        archive = PUBLIC_ARCHIVE.find(Path(root), (CLASSES, *LISTS.values()), download)
        class_names = read_class_names(archive)
        clouds = read_clouds(archive, list_shards(archive), points, len(class_names))
        # The public files have no validation objects, and the test objects are not to choose by.
        train, validation = hold_out(
            clouds["train"], validation_fraction, class_names, archive.where(LISTS["train"]), seed
        )
        super().__init__(train, validation, clouds["test"], class_names, points, augment, seed)
