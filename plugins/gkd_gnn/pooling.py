"""One row of features for each graph of a batch."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gkd import DataError, ParameterError
from gkd.eager import eagerly, exported_as
from gkd.functional.portable import pool_rows, require_one_sample
from gkd.functional.segments import segment_max, segment_sum

Pool: TypeAlias = Literal["none", "mean", "sum", "max"]


def _exported_pool(x: Tensor, batch: Tensor | None, pool: Pool) -> Tensor:
    """Return :func:`pool_graphs` of one graph."""
    require_one_sample(batch, "a network that pools its nodes")
    return pool_rows(x, pool)


@exported_as(_exported_pool)
@eagerly
def pool_graphs(x: Tensor, batch: Tensor | None, pool: Pool) -> Tensor:
    r"""Mean, sum or maximum of every feature over the nodes of each graph.

    Args:
        x: ``[N, F]``.
        batch: int64 ``[N]``, ascending from 0: the graph of each node; None where all are of one.
        pool: ``mean``, ``sum`` or ``max``.

    Returns:
        ``[B, F]``. Equal maxima share the gradient.

    Raises:
        ParameterError: ``batch`` has another shape or dtype, or descends.
        DataError: a graph without nodes.

    >>> pool_graphs(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), "mean")
    tensor([[2.],
            [5.]])
    """
    sizes = torch.tensor([len(x)], device=x.device) if batch is None else _sizes(batch, len(x))
    if not bool(sizes.all()) or not len(sizes):
        empty = int((sizes == 0).nonzero()[0]) if len(sizes) else 0
        raise DataError(f"graph {empty} of the batch has no nodes to pool")
    bounds = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    # Sums of many nodes in half precision would lose the small ones.
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    if pool == "max":
        return segment_max(values, bounds).to(x.dtype)
    total = segment_sum(values, bounds)
    return (total / sizes[:, None] if pool == "mean" else total).to(x.dtype)


def _sizes(batch: Tensor, num_nodes: int) -> Tensor:
    if batch.shape != (num_nodes,) or batch.dtype != torch.int64:
        raise ParameterError(
            f"batch must be int64 [{num_nodes}], one number for each node, got {batch.dtype} "
            f"{list(batch.shape)}"
        )
    if num_nodes and (bool((batch.diff() < 0).any()) or int(batch[0]) < 0):
        raise ParameterError("batch must ascend from 0: sort the nodes by graph")
    return torch.bincount(batch)
