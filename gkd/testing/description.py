"""Problems as a reader wants them: sizes, edges, features."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from textwrap import indent
from typing import Any

import torch
from torch import Tensor

from gkd.data import Batch, Sample
from gkd.graph import Graph

_ROWS, _NUMBERS, _LISTED = 12, 8, 30


def description(problem: Any) -> str:
    """Return a problem in some lines.

    >>> print(description(Graph(torch.tensor([[0, 2], [1, 1]]), num_nodes=3)))
    3 nodes, 2 edges: 0→1 2→1
    """
    for kind, describe in _DESCRIPTIONS.items():
        if isinstance(problem, kind):
            return describe(problem)
    if is_dataclass(problem):
        return _list_values({f.name: getattr(problem, f.name) for f in fields(problem)})
    return repr(problem)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _edges(edges: Tensor) -> str:
    count = _count(edges.shape[1], "edge")
    if not edges.numel():
        return count
    shown = [f"{source}→{target}" for source, target in edges.t()[:_LISTED].tolist()]
    more = ["…"] if edges.shape[1] > _LISTED else []
    return f"{count}: {' '.join([*shown, *more])}"


def _tensor(tensor: Tensor) -> str:
    if tensor.dtype == torch.int64 and tensor.ndim == 2 and len(tensor) == 2:
        return _edges(tensor)
    form = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
    if tensor.ndim != 2 or not tensor.is_floating_point():
        values = tensor.tolist() if tensor.numel() <= _LISTED else "…"
        return f"{form} {values}"
    rows = [" ".join(f"{v:.4g}" for v in row[:_NUMBERS].tolist()) for row in tensor[:_ROWS]]
    wider = " …" if tensor.shape[1] > _NUMBERS else ""
    more = ["…"] if len(tensor) > _ROWS else []
    return "\n".join([form, *(f"  [{row}{wider}]" for row in rows), *more])


def _tensors(named: Sample | Batch) -> str:
    return f"{_count(named.num_nodes, 'node')}\n{_list_values(dict(named.items()))}"


def _list_values(values: Mapping[str, Any]) -> str:
    lines = [
        f"{name}: {text}" if "\n" not in text else f"{name}:\n{indent(text, '  ')}"
        for name, text in ((n, description(v)) for n, v in values.items() if _is_there(v))
    ]
    return "\n".join(lines)


def _is_there(value: Any) -> bool:
    return value is not None and not (isinstance(value, tuple | Mapping) and not value)


def _number(values: tuple[Any, ...]) -> str:
    return _list_values({str(index): value for index, value in enumerate(values)})


_DESCRIPTIONS: Mapping[Any, Callable[[Any], str]] = {
    Graph: lambda graph: f"{_count(graph.num_nodes, 'node')}, {_edges(graph.edge_index)}",
    Tensor: _tensor,
    Sample: _tensors,
    Batch: _tensors,
    torch.dtype: lambda dtype: str(dtype).removeprefix("torch."),
    Mapping: _list_values,
    tuple: _number,
}
