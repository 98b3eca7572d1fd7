"""A graph of the edges of several."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

import gkd
from gkd import Graph, ParameterError
from gkd.errors import validated

Builder = Callable[..., Graph]


class Union(nn.Module):
    """All edges that any of several builders makes of the same features.

    Args:
        graphs: builders, or their names and parameters: ``{"name": "knn", "k": 10}``.

    Raises:
        ParameterError: one has no name.
        UnknownNameError: there is no such builder.

    >>> import torch
    >>> builder = Union([{"name": "knn", "k": 2}, {"name": "radius", "radius": 1.0}])
    >>> builder(torch.tensor([[0.0], [3.0], [1.0], [2.0]])).row_pointer
    tensor([ 0,  2,  4,  7, 10])
    """

    example_parameters = ({"graphs": [{"name": "knn", "k": 3}, {"name": "radius", "radius": 1.0}]},)

    @validated
    def __init__(
        self, graphs: Annotated[Sequence[Mapping[str, Any] | Builder], Field(min_length=1)]
    ) -> None:
        super().__init__()
        self.builders = tuple(_builder(index, choice) for index, choice in enumerate(graphs))
        self.linear_work = all(getattr(builder, "linear_work", True) for builder in self.builders)

    def forward(self, features: Tensor, batch: Tensor | None = None) -> Graph:
        """Return the graph.

        Args:
            features: floating-point ``[N, C]``.
            batch: number of each point's cloud, int64 ``[N]``, ascending; None for one cloud.
        """
        return reduce(Graph.union, [builder(features, batch) for builder in self.builders])

    def extra_repr(self) -> str:
        """Return the builders for ``print(builder)``."""
        return ", ".join(map(str, self.builders))


def _builder(index: int, choice: Mapping[str, Any] | Builder) -> Builder:
    if not isinstance(choice, Mapping):
        return choice
    parameters = dict(choice)
    name = parameters.pop("name", None)
    if not isinstance(name, str):
        raise ParameterError(f"union: graphs[{index}] needs the builder's 'name', got {choice!r}")
    builder: Builder = gkd.create("graph", name, **parameters)
    return builder
