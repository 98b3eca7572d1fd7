"""Outputs of a network for a whole batch, of which several processes have a share each."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from gkd.data.batch import Batch
from gkd.data.shared_batch import SharedBatch, is_idle, own_share
from gkd.distillation.network_outputs import NetworkOutputs
from gkd.functional.processes import gather_parts
from gkd.graph import Graph
from gkd.graph.disjoint_union import DisjointUnion


def gather_outputs(outputs: NetworkOutputs, batch: object) -> NetworkOutputs:
    """Return the outputs for all of a batch; every process must call it.

    Args:
        outputs: of the network for :func:`own_share` of the batch.
        batch: the whole; its outputs are returned as they are where it is not shared.
    """
    if not isinstance(batch, SharedBatch):
        return outputs
    own, idle = own_share(batch), is_idle(batch)
    graphs = {tap: _as_graph(graph, own) for tap, graph in outputs.graphs.items()}
    logits = None if outputs.logits is None else _gather(outputs.logits, idle)
    features = {tap: _gather(tensor, idle) for tap, tensor in outputs.features.items()}
    joined = {tap: _gather_graph(graph, idle) for tap, graph in graphs.items()}
    return NetworkOutputs(logits, features, joined)


def join_outputs(parts: Sequence[tuple[NetworkOutputs, Batch]]) -> NetworkOutputs:
    """Return the outputs for a batch, given those for parts of it that were run one by one."""
    outputs = [part for part, _ in parts]
    logits = [part.logits for part in outputs if part.logits is not None]
    return NetworkOutputs(
        join_rows(logits) if logits else None,
        {tap: join_rows([part.features[tap] for part in outputs]) for tap in outputs[0].features},
        {
            tap: DisjointUnion([_as_graph(part.graphs[tap], batch) for part, batch in parts])
            for tap in outputs[0].graphs
        },
    )


def join_rows(parts: Sequence[Tensor]) -> Tensor:
    """Put tensors of the same number of axes below one another.

    An axis on which they differ is filled up with zeros to the longest: samples that are padded to
    the largest of their batch are padded to the largest of all.

    >>> join_rows([torch.ones(1, 2), torch.ones(1, 3)])
    tensor([[1., 1., 0.],
            [1., 1., 1.]])
    """
    longest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    if any(list(part.shape[1:]) != longest for part in parts):
        missing = [[0, *(n - m for m, n in zip(p.shape[1:], longest, strict=True))] for p in parts]
        parts = [
            pad(part, [size for each in lacks[:0:-1] for size in (0, each)])
            for part, lacks in zip(parts, missing, strict=True)
        ]
    return torch.cat(list(parts))


def _gather(own: Tensor, idle: bool) -> Tensor:
    return join_rows(gather_parts(own[:0] if idle else own))


def _gather_graph(own: Graph, idle: bool) -> Graph:
    number = own.edge_index.new_tensor([0 if idle else own.num_nodes])
    edges = gather_parts(own.edge_index[:, :0] if idle else own.edge_index)
    return DisjointUnion(
        [Graph(part, int(n)) for part, n in zip(edges, gather_parts(number), strict=True)]
    )


def _as_graph(graph: Graph | Tensor, batch: Batch) -> Graph:
    return graph if isinstance(graph, Graph) else Graph.of(graph, batch.num_nodes)
