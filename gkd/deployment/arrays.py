"""What a network is called with for one sample: read from a file, or drawn to try it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gkd.data.archive import Archive
from gkd.errors import DataError, ParameterError, suggestion
from gkd.graph.edge_index import transposed
from gkd.training.model_record import EDGES, NODES, Array, ModelRecord


def require_arrays(record: ModelRecord) -> Mapping[str, Array]:
    """Return what the network is called with.

    Raises:
        ParameterError: nobody knows.
    """
    if not record.arrays:
        raise ParameterError(
            f"{record.model} is called with a whole batch, so that nobody knows which arrays it "
            "needs: train it with a forward that names them, forward(self, x, edge_index), or call "
            "it from Python, by gkd.load_student"
        )
    return record.arrays


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
    archive = Archive(path, ())
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
