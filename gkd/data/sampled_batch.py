"""Batches of some nodes of one graph, with a part of the nodes around them."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from gkd.data.batch import Batch
from gkd.data.sample import is_edge_index


class SampledBatch(Batch):
    """A part of one graph: seed nodes first, behind them nodes of their neighbourhoods.

    What a network computes at a seed follows from its sampled neighbourhood; that of the other
    nodes was cut. Losses take rows among the seeds alone, see :class:`gkd.data.rows.Rows`.

    Args:
        tensors: of the part, with ``batch``, ``ptr`` and ``n_id`` (int64 ``[M]``, the name of each
            node).
        id: of the graph.
        batch_size: number of seeds.
        node_numbers: int64 ``[M]``, the row of each node in the graph's own tensors.

    Attributes:
        whole: the graph itself, as a batch of one sample, which shares the memory of its tensors;
            None in the process of a loader's worker.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], id: str, batch_size: int, node_numbers: Tensor
    ) -> None:
        own = {name: t for name, t in tensors.items() if name not in ("batch", "ptr")}
        super().__init__(tensors, (id,), extents_of(own))
        self._batch_size = batch_size
        self._node_numbers = node_numbers
        self._whole: Batch | None = None

    @property
    def batch_size(self) -> int:
        """Number of seeds."""
        return self._batch_size

    @property
    def node_numbers(self) -> Tensor:
        """Row of each node in the tensors of the whole graph, int64 ``[M]``."""
        return self._node_numbers

    @property
    def whole(self) -> Batch | None:
        """The graph that it is a part of, where that was left."""
        return self._whole

    def alone(self) -> "SampledBatch":
        """Return the same nodes as a whole graph: that which a teacher's outputs are kept of."""
        own = {name: tensor for name, tensor in self.items() if name not in ("batch", "ptr")}
        numbers = torch.arange(self.num_nodes, device=self.node_numbers.device)
        other = SampledBatch(dict(self.items()), self.ids[0], self.batch_size, numbers)
        # Under a name of its own: another part of the graph has other nodes.
        other._whole = Batch(dict(self.items()), (f"{self.ids[0]}/{uuid4()}",), extents_of(own))
        return other

    def _mapped(self, function: Any) -> "SampledBatch":
        other = super()._mapped(function)
        other._node_numbers = function(self._node_numbers)
        return other

    def __getstate__(self) -> dict[str, Any]:
        # Copies and other processes have the part alone: the graph may be larger than memory.
        return {**self.__dict__, "_whole": None}

    def __repr__(self) -> str:
        return f"SampledBatch({self.batch_size} seeds, {self._shapes()})"


def extents_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int]]:
    """Return how many rows, or edges, the only sample of a batch has of each of its tensors."""
    return {
        name: (tensor.shape[-1] if is_edge_index(name) else len(tensor),)
        for name, tensor in tensors.items()
    }
