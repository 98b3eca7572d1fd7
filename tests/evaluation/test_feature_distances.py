"""Distances of features to one node's."""

import pytest
import torch
from torch import nn

from gkd import DataError, Sample, TapError
from gkd.evaluation.feature_distances import feature_distances


def sample(count: int = 6) -> Sample:
    generator = torch.Generator().manual_seed(0)
    return Sample(id="cloud", pos=torch.randn(count, 3, generator=generator), y=torch.zeros(1))


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Linear(5, 2))


def test_distances_are_those_of_the_tapped_features():
    net, one = network(), sample()
    found = feature_distances(net, one, ["pos"], "0", node=4)
    features = net[0](one.pos).detach().double()
    expected = [float((row - features[4]).norm()) for row in features]
    assert found.tolist() == pytest.approx(expected)
    assert found[4] == 0


class Heads(nn.Module):
    def forward(self, pos):
        return torch.stack([pos, 2 * pos], dim=1)


@pytest.mark.parametrize("layout", [None, "N H F"])
def test_features_of_heads_lie_side_by_side(layout):
    one = sample()
    found = feature_distances(nn.Sequential(Heads()), one, ["pos"], "0", 4, layout)
    features = torch.cat([one.pos, 2 * one.pos], dim=1).double()
    assert found.tolist() == pytest.approx((features - features[4]).norm(dim=1).tolist())
    with pytest.raises(TapError, match="yields 12 rows for a sample of 6 nodes"):
        feature_distances(nn.Sequential(Heads()), one, ["pos"], "0", 4, "B N F")


def test_the_network_runs_in_evaluation_mode_and_gets_its_own_mode_back():
    net = network().train()
    first, second = (feature_distances(net, sample(), ["pos"], "2", 0) for _ in range(2))
    assert torch.equal(first, second)
    assert net.training


@pytest.mark.parametrize("node", [-1, 6])
def test_nodes_that_do_not_exist(node):
    with pytest.raises(DataError, match=f"sample 'cloud' has nodes 0 to 5, not {node}"):
        feature_distances(network(), sample(), ["pos"], "0", node)


def test_taps_that_do_not_exist():
    with pytest.raises(TapError, match="no sub-module '3'"):
        feature_distances(network(), sample(), ["pos"], "3", 0)


def test_features_of_whole_clouds_have_no_nodes():
    net = nn.Sequential(nn.Linear(3, 5), nn.Unflatten(0, (1, -1)), nn.Flatten(1), nn.Linear(30, 2))
    with pytest.raises(TapError, match="yields 1 rows for a sample of 6 nodes"):
        feature_distances(net, sample(), ["pos"], "3", 0)
