import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ppi_archive import miniature, write, zipped

from gkd import DataError
from gkd_data.ppi import PPI


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", miniature())


def bad(array: np.ndarray, value: object) -> np.ndarray:
    copy = array.astype(np.asarray(value).dtype)
    copy.flat[0] = value
    return copy


DAMAGES = {
    "features with NaN": ("train_feats.npy", lambda a: bad(a, np.nan), "NaN or infinity"),
    "features beyond float32": (
        "train_feats.npy",
        lambda a: bad(a, -1e39),
        r"train_feats.npy holds -1e\+39 at \[0, 0\]: too large for float32",
    ),
    "infinite labels": ("test_labels.npy", lambda a: bad(a, np.inf), "NaN or infinity"),
    "labels beyond one": ("valid_labels.npy", lambda a: bad(a, 2), "only zeros and ones"),
    "text": ("train_feats.npy", lambda a: a.astype(str), "must hold real numbers, not <U"),
    "complex": ("train_feats.npy", lambda a: a + 1j, "must hold real numbers, not complex"),
    "objects": (
        "train_feats.npy",
        lambda a: a.astype(object),
        "must hold real numbers, not object",
    ),
    "no array": ("train_feats.npy", lambda a: b"PK what is this", "not a complete .npy array"),
    "half an array": (
        "train_feats.npy",
        lambda a: b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9, 9)",
        "not a complete .npy array",
    ),
    "flat labels": ("train_labels.npy", lambda a: a[:, 0], r"2 axes, but has shape \(5,\)"),
    "missing rows": ("train_labels.npy", lambda a: a[1:], "4 rows, but train_feats.npy has 5"),
    "missing ids": ("test_graph_id.npy", lambda a: a[1:], "3 rows, but test_feats.npy has 4"),
    "fractional ids": ("train_graph_id.npy", lambda a: a + 0.5, "whole numbers, not float64"),
    "gap in ids": (
        "train_graph_id.npy",
        lambda a: np.where(a == 2, 3, a),
        "graphs 1 to 3 are numbered, but 2 has no node",
    ),
    "graph in two splits": (
        "valid_graph_id.npy",
        lambda a: np.full_like(a, 2),
        "graph 2 is in train and in valid",
    ),
    "features of another width": (
        "test_feats.npy",
        lambda a: a[:, 1:],
        "test has 2 features, but train has 3",
    ),
    "labels of another width": (
        "valid_labels.npy",
        lambda a: a[:, 1:],
        "valid has 1 labels, but train has 2",
    ),
    "no JSON": ("train_graph.json", lambda g: b'{"nodes": [', "not valid JSON"),
    "no UTF-8": ("train_graph.json", lambda g: b"\xff\xfe{}", "not valid JSON"),
    "another JSON": ("train_graph.json", lambda g: [1, 2], "not a node-link graph"),
    "no links": ("train_graph.json", lambda g: {"nodes": g["nodes"]}, "KeyError 'edges'"),
    "missing node": (
        "train_graph.json",
        lambda g: g | {"nodes": g["nodes"][1:]},
        "4 nodes; expected ids 0 to 4",
    ),
    "named nodes": (
        "train_graph.json",
        lambda g: g | {"nodes": [{"id": "P53"}] * 5},
        "expected ids",
    ),
    "nodes named by lists": (
        "train_graph.json",
        lambda g: g | {"nodes": [{"id": [i]} for i in range(5)]},
        "not a node-link graph",
    ),
    "link out of range": (
        "train_graph.json",
        lambda g: g | {"links": [*g["links"], {"source": 1, "target": 5}]},
        "link 3 joins 1 and 5; expected node ids from 0 to 4",
    ),
    "negative link": (
        "train_graph.json",
        lambda g: g | {"links": [*g["links"], {"source": -1, "target": 0}]},
        "link 3 joins -1 and 0",
    ),
    "fractional link": (
        "train_graph.json",
        lambda g: g | {"links": [*g["links"], {"source": 0.5, "target": 0}]},
        "its links join float64 values",
    ),
    "link to another graph": (
        "train_graph.json",
        lambda g: g | {"links": [*g["links"], {"source": 2, "target": 3}]},
        "link 3 joins node 2 of graph 1 and node 3 of graph 2",
    ),
}


class TestDamagedFiles:
    @pytest.mark.parametrize(("name", "change", "message"), DAMAGES.values(), ids=DAMAGES.keys())
    def test_names_the_file_and_what_is_wrong(
        self, tmp_path: Path, name: str, change: Callable, message: str
    ) -> None:
        files = miniature()
        files[name] = change(files[name])
        write(tmp_path, files)
        with pytest.raises(DataError, match=message) as caught:
            PPI(tmp_path, download=False)
        assert str(tmp_path) in str(caught.value)

    def test_empty_split(self, tmp_path: Path) -> None:
        files = miniature()
        for kind in ("feats", "labels", "graph_id"):
            files[f"valid_{kind}.npy"] = files[f"valid_{kind}.npy"][:0]
        files["valid_graph.json"].update(nodes=[], links=[])
        with pytest.raises(DataError, match=r"valid_graph_id\.npy is empty"):
            PPI(write(tmp_path, files))

    def test_missing_members(self, tmp_path: Path) -> None:
        files = miniature()
        del files["test_feats.npy"]
        write(tmp_path / "data", files)
        archive = zipped(tmp_path / "data", tmp_path / "ppi.zip")
        for place in (archive, tmp_path / "data"):
            with pytest.raises(DataError, match=r"lacks test_feats\.npy; it has"):
                PPI(place, download=False)

    def test_foreign_archive(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "ppi.zip", "w") as archive:
            archive.writestr("holiday.jpg", b"sunset")
        with pytest.raises(DataError, match=r"it has holiday.jpg\. Is it the archive of another"):
            PPI(tmp_path, download=False)

    @pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
    def test_truncated_archive(self, folder: Path, tmp_path: Path, kept: float) -> None:
        archive = zipped(folder, tmp_path / "ppi.zip")
        content = archive.read_bytes()
        length = int(len(content) * kept) if isinstance(kept, float) else kept
        archive.write_bytes(content[:length])
        with pytest.raises(DataError, match="not a complete zip archive"):
            PPI(archive, download=False)

    def test_archive_with_a_flipped_byte(self, folder: Path, tmp_path: Path) -> None:
        archive = zipped(folder, tmp_path / "ppi.zip")
        content = bytearray(archive.read_bytes())
        with zipfile.ZipFile(archive) as whole:
            member = whole.getinfo("train_feats.npy")
        content[member.header_offset + 60 + len(member.filename)] ^= 0xFF
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"train_feats\.npy cannot be read"):
            PPI(archive, download=False)
