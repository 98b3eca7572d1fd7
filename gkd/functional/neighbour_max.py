"""The maximum over every node's neighbours, in O(N·F) memory."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.eager import eagerly, exported_as
from gkd.errors import ParameterError
from gkd.functional import portable
from gkd.functional.row_reductions import row_maximum, row_maximum_with_column
from gkd.graph import Graph


@exported_as(portable.neighbour_max)
@eagerly
def neighbour_max(features: Tensor, graph: Graph) -> Tensor:
    r"""Maximum of every channel over the neighbours of every node.

    .. math:: y_{ic} = \max_{j \in N(i)} x_{jc}

    The gradient goes to one neighbour that attains the maximum, and between the passes only that
    neighbour's number is kept. Differentiable once.

    Args:
        features: ``x``, ``[N, F]``.
        graph: E edges over N nodes, at least one into every node.

    Returns:
        ``[N, F]``.

    Raises:
        ParameterError: features that do not fit the graph, or a node without in-edges.

    >>> graph = Graph(torch.tensor([[0, 1, 1], [0, 0, 1]]), num_nodes=2)
    >>> neighbour_max(torch.tensor([[1.0, 5.0], [3.0, 4.0]]), graph)
    tensor([[3., 5.],
            [3., 4.]])
    """
    if features.dim() != 2 or features.shape[0] != graph.num_nodes:
        raise ParameterError(
            f"neighbour_max needs features of shape [{graph.num_nodes}, F] for {graph!r}, got "
            f"{list(features.shape)}"
        )
    degrees = graph.row_pointer.diff()
    if graph.num_nodes and int(degrees.min()) == 0:
        raise ParameterError(
            f"node {int(degrees.argmin())} has no in-edge, and a maximum over no neighbours does "
            "not exist: give every node one, as graph.with_self_loops() does"
        )
    result: Tensor = _NeighbourMax.apply(features, graph)  # type: ignore[no-untyped-call]
    return result


class _NeighbourMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, graph: Graph) -> Tensor:
        # Which neighbour it was costs more to find than the maximum: training alone asks.
        if not ctx.needs_input_grad[0]:
            return row_maximum(graph.row_pointer, graph.source, features)
        values, source = row_maximum_with_column(graph.row_pointer, graph.source, features)
        # Half the memory of what is kept between the passes, as long as an activation.
        ctx.save_for_backward(source.to(torch.int32))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (source,) = ctx.saved_tensors
        # Rows of the gradient are nodes as well, so that its shape is that of the features.
        return torch.zeros_like(grad).scatter_add_(0, source.long(), grad), None
