"""Where a network computes, and what its ``forward`` may take for granted of its input."""

from itertools import chain

import torch
from torch import Tensor, nn

from gkd.eager import exported_as
from gkd.errors import ParameterError
from gkd.functional.portable import PortableGraph
from gkd.graph import Graph


def device_of(network: nn.Module) -> torch.device:
    """Return where a network is: the device of its first parameter or buffer, else the CPU.

    >>> device_of(nn.Linear(3, 2)), device_of(nn.ReLU())
    (device(type='cpu'), device(type='cpu'))
    """
    tensor = next(chain(network.parameters(), network.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def require_features(network: nn.Module, features: Tensor, width: int, name: str = "x") -> None:
    """Check that a network with parameters can compute on ``features``, ``[N, width]``.

    Args:
        network: that messages call by the name of its class.
        features: its input. Their dtype is that of the network's parameters; under autocast, any
            floating point.
        width: that the network was made for.
        name: of the input, for messages.

    Raises:
        ParameterError: another shape or dtype.

    >>> require_features(nn.Linear(3, 2), torch.ones(5, 4), width=3)
    Traceback (most recent call last):
    gkd.errors.ParameterError: Linear needs x of shape [N, 3], got [5, 4]
    """
    owner = type(network).__name__
    if features.dim() != 2 or features.shape[1] != width:
        raise ParameterError(
            f"{owner} needs {name} of shape [N, {width}], got {list(features.shape)}"
        )
    # Under autocast every floating dtype is cast anyway. Outside, torch would complain of a matrix
    # product somewhere inside a layer.
    expected = next(network.parameters()).dtype
    mixed = features.is_floating_point() and torch.is_autocast_enabled(features.device.type)
    if features.dtype != expected and not mixed:
        raise ParameterError(
            f"{owner}'s parameters are {expected}, but {name} is {features.dtype}: convert "
            f"{name}, or the network"
        )


@exported_as(lambda features, edge_index: PortableGraph.of(edge_index, features.shape[0]))
def graph_over(features: Tensor, edge_index: Tensor) -> Graph:
    """Return the graph whose nodes are the rows of ``features``, sorted once for each tensor.

    Args:
        features: ``[N, F]``.
        edge_index: int64 ``[2, E]``, source and target of each edge.

    Raises:
        ParameterError: edges that do not fit, or features and edges on two devices.

    >>> graph_over(torch.ones(3, 1), torch.tensor([[0, 1], [1, 2]]))
    Graph(num_nodes=3, num_edges=2)
    """
    # Remembered with the tensor: teacher, student and losses share one sorting of the batch.
    graph = Graph.of(edge_index, len(features))
    if graph.device != features.device:
        raise ParameterError(f"x is on {features.device}, but edge_index is on {graph.device}")
    return graph
