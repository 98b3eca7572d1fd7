"""What a trained network says of data that come from elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gkd.deployment.arrays import read_arrays, required_arrays
from gkd.deployment.export import ByName
from gkd.deployment.student import load_network
from gkd.distillation.inputs import Arguments
from gkd.distillation.layer_by_layer import layer_by_layer
from gkd.distillation.task_choice import find_task
from gkd.errors import ParameterError
from gkd.files import write_atomically


def predict(weights: Path, data: Path, code: Path | None = None) -> dict[str, Tensor]:
    """Return what a network says of one sample.

    Args:
        weights: file of the network, as a run leaves it.
        data: ``.npz`` file with the arrays that it is called with: ``x``, ``edge_index``, …
        code: folder with the module of a model of one's own.

    Returns:
        ``outputs`` of the network, ``[N, C]``, and what they mean: ``classes`` ``[N]`` and their
        ``probabilities``, or for several labels at once ``labels``, 0 or 1, and ``probabilities``.

    Raises:
        DataError: a file cannot be read, or has not what the network needs.
    """
    network, record = load_network(weights, code)
    arrays = required_arrays(network, record)
    inputs = read_arrays(data, arrays)
    with torch.no_grad(), layer_by_layer(network, Arguments((), {}, inputs)):
        outputs = ByName(network, record, arrays)(*inputs.values())
    likelihood = "" if record.task is None else find_task(record.task).likelihood
    meaning = _MEANINGS.get(likelihood)
    return {"outputs": outputs} | ({} if meaning is None else meaning(outputs))


def write_predictions(path: Path, predictions: Mapping[str, Tensor]) -> None:
    """Write predictions to an ``.npz`` file by their names, or as columns to a ``.csv`` file.

    Raises:
        ParameterError: the file is called otherwise.
    """
    if path.suffix not in _WRITERS:
        raise ParameterError(f"{path}: predictions are written to .npz or .csv files")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda partial: _WRITERS[path.suffix](partial, predictions))


def _write_npz(path: Path, predictions: Mapping[str, Tensor]) -> None:
    import numpy as np

    with path.open("wb") as file:
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in predictions.items()}
        np.savez(file, **arrays)


def _write_csv(path: Path, predictions: Mapping[str, Tensor]) -> None:
    columns: dict[str, list[float | int]] = {}
    for name, tensor in predictions.items():
        if tensor.ndim == 1:
            columns[name] = tensor.tolist()
        else:
            for number, column in enumerate(tensor.flatten(1).T):
                columns[f"{name}_{number}"] = column.tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", *columns])
        writer.writerows([n, *row] for n, row in enumerate(zip(*columns.values(), strict=True)))


def _classes(outputs: Tensor) -> dict[str, Tensor]:
    if outputs.ndim == 1 or outputs.shape[1] == 1:  # the logit of class 1 against class 0
        logits = outputs.flatten()
        outputs = torch.stack([torch.zeros_like(logits), logits], dim=1)
    return {"classes": outputs.argmax(dim=1), "probabilities": outputs.softmax(dim=1)}


def _labels(outputs: Tensor) -> dict[str, Tensor]:
    return {"labels": (outputs > 0).to(torch.int64), "probabilities": outputs.sigmoid()}


_MEANINGS: Mapping[str, Callable[[Tensor], dict[str, Tensor]]] = {
    "softmax": _classes,
    "sigmoid": _labels,
}
_WRITERS: Mapping[str, Callable[[Path, Mapping[str, Tensor]], None]] = {
    ".npz": _write_npz,
    ".csv": _write_csv,
}
