"""What a network is called with for one sample: read from a file, or drawn to try it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gkd.data.archive import Archive
from gkd.distillation.inputs import WHOLE
from gkd.errors import DataError, ParameterError, suggestion
from gkd.errors.causes import first_line
from gkd.graph.edge_index import transposed
from gkd.training.model_record import EDGES, NODES, Array, ModelRecord

_TRIED_NODES, _TRIED_EDGES = 64, 300


class OneGraph:
    """What a network that takes a whole batch gets where it is asked about one graph.

    Args:
        arrays: of the graph, by attribute.
        batch: sample of each node.

    Attributes:
        read: names that were asked for.
    """

    num_graphs = 1

    def __init__(self, arrays: Mapping[str, Tensor], batch: Tensor | None = None) -> None:
        self.read: set[str] = set()
        self._values = {"batch": batch, **arrays}

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        values = self.__dict__["_values"]
        if name == "num_nodes":
            nodes = values.get("x", values.get("pos"))
            # Not len(), which an exported program would take for a constant.
            return None if nodes is None else nodes.shape[0]
        if name not in values:
            raise AttributeError(
                f"one graph has no {name!r}; {suggestion(name, [*values, 'num_nodes'])}"
            )
        return values[name]

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: str) -> bool:
        return name in self._values


def required_arrays(network: nn.Module, record: ModelRecord) -> Mapping[str, Array]:
    """Return what a network is called with for one graph.

    What one that takes the whole batch looks at shows on a random graph.

    Raises:
        ParameterError: nobody knows.
    """
    if record.inputs != WHOLE:
        return record.arrays
    if not record.arrays:
        raise ParameterError(
            f"{record.model} is called with a whole batch, and its file was written when nobody "
            "noted what a sample has: train it again, or call it from Python, by gkd.load_student"
        )
    made = random_arrays(record.arrays, _TRIED_NODES, _TRIED_EDGES, torch.Generator())
    graph = OneGraph(made, torch.zeros(_TRIED_NODES, dtype=torch.int64))
    try:
        with torch.no_grad():
            network(graph)
    except Exception as error:  # of a network of somebody's own, anything
        first = first_line(str(error))[:300]
        raise ParameterError(
            f"{record.model} is called with a whole batch, and cannot take one graph: {first}: "
            "give it a forward that names what it needs, forward(self, x, edge_index), or call it "
            "from Python, by gkd.load_student"
        ) from error
    return {name: array for name, array in record.arrays.items() if name in graph.read}


def random_arrays(
    arrays: Mapping[str, Array], nodes: int, edges: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return random inputs for so many nodes, and edges at most: normal numbers, edges, ones.

    No edge is there twice: where edges have weights, it would have two.
    """
    pairs = torch.randperm(nodes * nodes, generator=generator)[:edges]
    sizes = {NODES: nodes, EDGES: len(pairs)}
    made: dict[str, Tensor] = {}
    for name, array in arrays.items():
        shape = [sizes[size] if isinstance(size, str) else size for size in array.shape]
        dtype: torch.dtype = getattr(torch, array.dtype)
        if array.shape == [2, EDGES]:
            made[name] = torch.stack([pairs % nodes, pairs // nodes])
        elif dtype.is_floating_point:
            made[name] = torch.randn(shape, generator=generator, dtype=dtype)
        else:
            made[name] = torch.ones(shape, dtype=dtype)
    # Weights of edges are no negative numbers, and each edge has one.
    for name, array in arrays.items():
        if array.shape == [EDGES] and made[name].is_floating_point():
            made[name] = made[name].abs()
    return made


def read_arrays(path: Path, arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """Return the inputs that an ``.npz`` file holds, by the names that the network has for them.

    Raises:
        DataError: the file cannot be read, lacks an array, or has one of another form.
    """
    if not path.is_file():
        what = "is a folder, and no .npz file of arrays" if path.is_dir() else "is not there"
        raise DataError(f"{path} {what}")
    archive = Archive(path, ()) if zipfile.is_zipfile(path) else None
    # Neither what numpy.save writes nor what torch.save does, which is an archive of other files.
    if archive is None or not any(name.endswith(".npy") for name in archive.names):
        named = ", ".join(f"{name}=..." for name in arrays)
        raise DataError(
            f"{path} is no complete .npz file of arrays, as numpy.savez(path, {named}) writes it"
        )
    if "batch" not in arrays and "batch.npy" in archive.names:
        graphs = len(np.unique(archive.array("batch.npy", 1)))
        if graphs > 1:
            raise DataError(
                f"{archive.where('batch')} tells {graphs} graphs apart: expected one in each file, "
                "as the network would take them for one"
            )
    sizes: dict[str, int] = {}
    read = {}
    for name, array in arrays.items():
        if f"{name}.npy" not in archive.names:
            known = [member.removesuffix(".npy") for member in archive.names]
            raise DataError(f"{path} has no array {name!r}; {suggestion(name, known)}")
        values = archive.array(f"{name}.npy", len(array.shape))
        dtype: torch.dtype = getattr(torch, array.dtype)
        expected = [
            sizes.setdefault(size, found) if isinstance(size, str) else size
            for size, found in zip(array.shape, values.shape, strict=True)
        ]
        whole = values.dtype.kind in "biu"
        if list(values.shape) != expected or not (whole or dtype.is_floating_point):
            shape = ", ".join(
                str(size) if size == wanted else f"{size} {wanted}"
                for size, wanted in zip(expected, array.shape, strict=True)
            )
            raise DataError(
                f"{archive.where(name)} must be {array.dtype} [{shape}], got {values.dtype} "
                f"{list(values.shape)}"
                + (transposed(name, values.shape) if array.shape == [2, EDGES] else "")
            )
        # Torch knows neither the other order of bytes nor numbers of more than eight of them.
        wide = values.dtype.itemsize > 8
        with np.errstate(over="ignore"):
            plain = values.astype(np.float64 if wide else values.dtype.newbyteorder("="))
        read[name] = torch.from_numpy(plain).to(dtype)
        if not bool(read[name].isfinite().all()):
            raise DataError(f"{archive.where(name)} holds numbers too large for {array.dtype}")
    for name, array in arrays.items():
        ends = read[name]
        if array.shape == [2, EDGES] and ends.numel():
            nodes = sizes.get(NODES, 0)
            if not 0 <= int(ends.min()) <= int(ends.max()) < nodes:
                raise DataError(f"{archive.where(name)} has nodes outside of 0 to {nodes - 1}")
    return read
