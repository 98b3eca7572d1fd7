"""Outputs of a batch taken apart by sample, and put together again."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from gkd.distillation.network_outputs import NetworkOutputs, NetworkTaps
from gkd.distillation.tap import Tap
from gkd.errors import ParameterError
from gkd.graph import Graph


def split_outputs(outputs: NetworkOutputs, ptr: Tensor, name: str) -> list[NetworkOutputs]:
    """Return the outputs of each sample, in memory of their own.

    Args:
        outputs: of a batch: rows per node or per sample, graphs over nodes.
        ptr: int64 ``[B + 1]``, where each sample's nodes begin.
        name: of the network, for messages.

    Raises:
        ParameterError: an output has neither a row per node nor per sample.
    """
    starts = ptr.tolist()
    logits = _rows_by_sample(outputs.logits, starts, f"{name}: logits")
    features = {
        tap: _rows_by_sample(value, starts, f"{name}: tap {str(tap)!r}")
        for tap, value in outputs.features.items()
    }
    graphs = {tap: _graphs_by_sample(value, starts) for tap, value in outputs.graphs.items()}
    return [
        NetworkOutputs(
            logits[sample],
            {tap: parts[sample] for tap, parts in features.items()},
            {tap: parts[sample] for tap, parts in graphs.items()},
        )
        for sample in range(len(starts) - 1)
    ]


def joined_outputs(samples: Sequence[NetworkOutputs], taps: NetworkTaps) -> NetworkOutputs:
    """Return the outputs of the batch that ``samples`` make up; undoes :func:`split_outputs`."""
    return NetworkOutputs(
        torch.cat([sample.logits for sample in samples]),
        {tap: torch.cat([sample.features[tap] for sample in samples]) for tap in taps.features},
        {
            tap: _disjoint_union([_graph(sample.graphs, tap) for sample in samples])
            for tap in taps.graphs
        },
    )


def _rows_by_sample(rows: Tensor, starts: list[int], place: str) -> list[Tensor]:
    samples = len(starts) - 1
    if len(rows) == starts[-1]:
        sizes = [end - start for start, end in pairwise(starts)]
    elif len(rows) == samples:
        sizes = [1] * samples
    else:
        raise ParameterError(
            f"teacher cache: {place} of shape {list(rows.shape)} has neither a row per node "
            f"({starts[-1]}) nor per sample ({samples}), so it cannot be kept per sample"
        )
    return [part.clone() for part in rows.detach().split_with_sizes(sizes)]


def _graphs_by_sample(value: Graph | Tensor, starts: list[int]) -> list[Graph]:
    graph = value if isinstance(value, Graph) else Graph(value, starts[-1])
    # Edges are sorted by target, so those of a sample lie side by side.
    borders = graph.row_pointer[torch.tensor(starts, device=graph.device)].tolist()
    return list(_slices(graph.edge_index, borders, starts))


def _slices(edge_index: Tensor, borders: list[int], starts: list[int]) -> Iterator[Graph]:
    for sample, start in enumerate(starts[:-1]):
        edges = edge_index[:, borders[sample] : borders[sample + 1]] - start
        yield Graph(edges, starts[sample + 1] - start)


def _graph(graphs: Mapping[Tap, Graph | Tensor], tap: Tap) -> Graph:
    graph = graphs[tap]
    if not isinstance(graph, Graph):
        raise TypeError("split_outputs makes graphs of all edge indices")
    return graph


def _disjoint_union(graphs: Sequence[Graph]) -> Graph:
    if len(graphs) == 1:
        return graphs[0]
    starts = [0, *accumulate(graph.num_nodes for graph in graphs)]
    edges = [graph.edge_index + start for graph, start in zip(graphs, starts, strict=False)]
    return Graph(torch.cat(edges, dim=1), starts[-1])
