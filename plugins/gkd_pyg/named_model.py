"""Any model of PyTorch Geometric, with a head for whole graphs where they are classified."""

import inspect
from typing import Any, Literal

from torch import Tensor, nn

from gkd import ParameterError
from gkd.functional.portable import pool_rows
from gkd_pyg.by_name import class_of, made

Pool = Literal["none", "mean", "sum", "max"]


def pyg_model(
    model: str,
    in_channels: int | None = None,
    out_channels: int | None = None,
    pool: Pool = "none",
    **parameters: Any,
) -> nn.Module:
    """Return a model of PyTorch Geometric.

    In a recipe: ``student = { name = "pyg", params = { model = "GCN", hidden_channels = 16,
    num_layers = 2 } }``. The numbers of inputs and outputs are the data set's. Taps are the model's
    own: ``convs.0``; ``network.convs.0`` where nodes are pooled.

    Args:
        model: name of a class in ``torch_geometric.nn.models``, or ``"package.module:Class"``.
        in_channels: width of the input, given by the data set where the class has this parameter.
        out_channels: number of outputs, likewise.
        pool: over the nodes of each graph, before a linear head: the model's outputs are then
            hidden, as wide as its ``hidden_channels``.
        **parameters: of the class.

    Raises:
        ParameterError: there is no such class, or the parameters do not fit it.

    >>> import torch
    >>> from gkd import create
    >>> create("model", "pyg", model="GCN", in_channels=3, out_channels=2, hidden_channels=4,
    ...     num_layers=2)(torch.ones(5, 3), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([5, 2])
    """
    cls = class_of(model, "torch_geometric.nn.models", nn.Module, "model")
    accepted = inspect.signature(cls).parameters
    sizes = {"in_channels": in_channels, "out_channels": out_channels}
    if pool != "none":
        if "hidden_channels" not in parameters or out_channels is None:
            raise ParameterError(
                f"model {model!r} with pool={pool!r} needs hidden_channels, and the data set's "
                "out_channels"
            )
        sizes["out_channels"] = parameters["hidden_channels"]
    given = {name: size for name, size in sizes.items() if name in accepted and size is not None}
    network: nn.Module = made(cls, given | parameters, "model")
    if pool == "none":
        return network
    assert out_channels is not None
    return Pooled(network, pool, parameters["hidden_channels"], out_channels)


pyg_model.example_parameters = (  # type: ignore[attr-defined]  # it is a function's attribute
    {"model": "GCN", "hidden_channels": 8, "num_layers": 2},
)


class Pooled(nn.Module):
    """A network of nodes, and a linear head on what the nodes of each graph come to.

    Args:
        network: gives features of nodes ``[N, width]``.
        pool: over the nodes of each graph.
        width: of these features.
        out_channels: number of outputs for each graph.
    """

    inputs = ("x", "edge_index", "batch")

    def __init__(self, network: nn.Module, pool: Pool, width: int, out_channels: int) -> None:
        super().__init__()
        self.network, self.pool = network, pool
        self.head = nn.Linear(width, out_channels)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """Return the logits of every graph, ``[B, out_channels]``."""
        features = self.network(x, edge_index)
        if batch is None:  # one graph; said so without looking at a tensor's content
            pooled = pool_rows(features, self.pool)
        else:
            graphs = int(batch.max()) + 1 if len(batch) else 0
            places = batch[:, None].expand(-1, features.shape[1])
            reduce = {"max": "amax", "mean": "mean", "sum": "sum"}[self.pool]
            pooled = features.new_zeros(graphs, features.shape[1]).scatter_reduce(
                0, places, features, reduce, include_self=False
            )
        logits: Tensor = self.head(pooled)
        return logits
