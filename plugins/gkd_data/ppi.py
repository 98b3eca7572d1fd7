"""PPI: protein roles in 24 human tissues, the inductive benchmark of GraphSAGE and GAT."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gkd import DataError
from gkd.data.archive import single_precision
from gkd.errors import validated
from gkd_data.in_memory import InMemoryDataset
from gkd_data.ppi_split import Split, read_split, split_files
from gkd_data.public_archive import PublicArchive

SPLITS = ("train", "valid", "test")
PUBLIC_ARCHIVE = PublicArchive(
    title="PPI",
    url="https://data.dgl.ai/dataset/ppi.zip",
    sha256="1f5b2b09ac0f897fa6aa1338c64ab75a5473674cbba89380120bede8cddb2a6a",
)


class PPI(InMemoryDataset):
    """Protein-protein interaction graphs: 20 to train on, 2 to validate, 2 to test.

    A sample is one tissue: ``x [N, 50]``, ``edge_index [2, E]`` and binary ``y [N, 121]``. Links
    are made symmetric, each directed edge is there once, and edges are sorted by (target, source).

    The public archive holds features standardised by the training nodes and a self-loop on every
    node; other copies hold raw features or undirected links. By default all of them yield the same
    samples:

        x = (features − mean) / deviation,   mean and deviation over the training nodes,

    (a feature that is constant there is only centred), without self-loops (1,226,368 directed
    edges in the training graphs), since models add their own.

    Args:
        root: folder of the files, or their zip archive; or the folder that has it.
        download: fetch the public archive into ``root``, an empty folder that is there.
        self_loops: keep the self-loops of the archive.
        standardise: standardise the features; False keeps them as the archive has them.

    Raises:
        DataError: the archive is missing and cannot be fetched, or is not what it should be.

    Source: Zitnik and Leskovec, Bioinformatics 2017; Hamilton et al., NeurIPS 2017, section 4.2;
    graph-level split and layout as in Velickovic et al., ICLR 2018.
    """

    task = "multi-label"
    inputs = ("x", "edge_index")
    example_parameters = ({"root": "ppi.zip", "download": False},)

    @validated
    def __init__(
        self,
        root: str | Path,
        download: bool = True,
        self_loops: bool = False,
        standardise: bool = True,
    ) -> None:
        names = [file for split in SPLITS for file in split_files(split)]
        archive = PUBLIC_ARCHIVE.find(Path(root), names, download)
        splits = {name: read_split(archive, name, self_loops) for name in SPLITS}
        _require_one_dataset(splits, str(archive.place))
        if standardise:
            # By the training nodes alone: nothing is known of the others when a model is trained.
            train = splits["train"].features
            mean, deviation = train.mean(0), train.std(0)
            # Rounding leaves a constant feature with a deviation that is tiny instead of zero, and
            # the squares of tiny numbers are zero.
            varies = (train.max(0) > train.min(0)) & (deviation > 0)
            scale = np.where(varies, deviation, 1.0)
            splits = {
                name: replace(split, features=(split.features - mean) / scale)
                for name, split in splits.items()
            }
            for name, split in splits.items():
                _, file, *_ = split_files(name)
                _, trained, *_ = split_files("train")
                where = f"{archive.where(file)}, standardised by {trained},"
                single_precision(split.features, where)
        self.train, self.validation, self.test = (splits[name].samples() for name in SPLITS)
        self.num_features = splits["train"].features.shape[1]
        self.num_classes = splits["train"].labels.shape[1]


def _require_one_dataset(splits: dict[str, Split], where: str) -> None:
    first = splits["train"]
    seen: dict[int, str] = {}
    for name, split in splits.items():
        for what in ("features", "labels"):
            here, there = getattr(split, what).shape[1], getattr(first, what).shape[1]
            if here != there:
                raise DataError(f"{where}: {name} has {here} {what}, but train has {there}")
        # A graph to train on and to test on as well would flatter every result.
        for graph in split.graph_ids:
            if graph in seen:
                raise DataError(f"{where}: graph {graph} is in {seen[graph]} and in {name}")
            seen[graph] = name
