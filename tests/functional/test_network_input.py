import pytest
import torch
from torch import nn

import gkd
from gkd.errors import ParameterError
from gkd.functional.network_input import graph_over, require_features


@pytest.mark.parametrize("shape", [(5,), (5, 4), (2, 5, 3)])
def test_features_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match=r"Linear needs h of shape \[N, 3\], got \["):
        require_features(nn.Linear(3, 2), torch.ones(shape), 3, "h")


def test_features_of_another_dtype_are_refused_outside_of_autocast() -> None:
    network = nn.Linear(3, 2)
    for dtype in (torch.float64, torch.int64):
        with pytest.raises(ParameterError, match=r"parameters are torch\.float32, but x is"):
            require_features(network, torch.ones(5, 3, dtype=dtype), 3)
    require_features(network.double(), torch.ones(5, 3, dtype=torch.float64), 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        require_features(network, torch.ones(5, 3), 3)
        with pytest.raises(ParameterError, match=r"but x is torch\.int64"):
            require_features(network, torch.ones(5, 3, dtype=torch.int64), 3)


def test_a_graph_is_the_same_object_while_its_tensor_is() -> None:
    edges = torch.tensor([[0, 1], [1, 2]])
    graph = graph_over(torch.ones(3, 1), edges)
    assert graph is graph_over(torch.ones(3, 7), edges) == gkd.Graph(edges, 3)
    with pytest.raises(ParameterError, match="node"):
        graph_over(torch.ones(2, 1), edges)


def test_features_and_edges_on_two_devices_are_refused() -> None:
    edges = torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(ParameterError, match="x is on meta, but edge_index is on cpu"):
        graph_over(torch.ones(3, 1, device="meta"), edges)
