"""What the laws rely on: the watches, the other process, the literal pairs, descriptions."""

import os
import random

import numpy as np
import pytest
import torch
from torch import nn

from gkd import Graph, Sample, collate
from gkd.functional.similarities import EdgePairs
from gkd.testing.description import description
from gkd.testing.laws.kernel_laws import RawPairs
from gkd.testing.laws.model_calls import input_names, logits_of, takes_edges
from gkd.testing.memory_watch import MemoryWatch
from gkd.testing.other_process import call_elsewhere
from gkd.testing.placement_watch import PlacementWatch
from gkd.testing.subject import fixed_seed
from gkd.testing.work_watch import WorkWatch


def test_literal_pairs_compute_every_statistic_themselves():
    statistics = {name for name in vars(EdgePairs) if not name.startswith("_")}
    # Which follow from norms, not pairs:
    of_nodes = {"largest_squared_norm", "rounding", "exceeds_rounding"}
    assert statistics - of_nodes <= set(vars(RawPairs))


def test_literal_pairs_agree_with_their_definition():
    features = torch.tensor([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]])
    pairs = RawPairs(features, Graph(torch.tensor([[0, 0], [1, 2]]), 3))
    assert pairs.dot().tolist() == [0, 50]
    assert pairs.squared_distance().tolist() == [25, 25]
    assert pairs.l1_distance().tolist() == [7, 7]
    assert pairs.cosine().tolist() == [0, 1]
    assert RawPairs(features, Graph(torch.zeros(2, 0, dtype=torch.int64), 3)).dot().shape == (0,)


def test_memory_is_that_of_the_largest_tensor_made():
    x = torch.ones(10, 3, requires_grad=True)
    with MemoryWatch() as watch:
        torch.autograd.backward((x @ x.T).sum())
    assert watch.elements == 100
    assert "[10, 10]" in watch.description


def test_memory_of_a_view_is_that_of_what_it_views():
    x = torch.ones(1000, 1)
    with MemoryWatch() as watch:
        x.expand(1000, 1000)[:2].sum()
    assert watch.elements == 1000


def work_of(function) -> int:
    with WorkWatch() as watch:
        function()
    return watch.work


def test_work_is_numbers_made_and_terms_of_products():
    x, y = torch.ones(10, 3), torch.ones(3, 5)
    assert work_of(lambda: x + 1) == 30
    assert work_of(lambda: x.t()[:2]) == 0
    assert work_of(lambda: x @ y) == 10 * 5 * 3
    assert work_of(lambda: torch.addmm(torch.ones(5), x, y)) == 5 + 10 * 5 * 3
    assert work_of(lambda: torch.bmm(x[None], y[None])) == 10 * 5 * 3
    assert work_of(lambda: y.t() @ torch.ones(3)) == 3 + 5 * 3
    with WorkWatch() as watch:
        (x @ y).sum()
    assert "mm makes [[10, 5]]" in watch.largest


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_work_of_sparse_products_is_that_of_their_entries():
    eye, dense = torch.eye(100).to_sparse_csr(), torch.ones(100, 4)
    assert work_of(lambda: eye @ dense) < 1000 < 100 * 100


def test_a_tensor_without_a_device_is_a_stray():
    x = torch.ones(3)
    with PlacementWatch() as watch:
        assert watch.is_stray(torch.arange(3))
        assert watch.is_stray(torch.arange(3) + torch.ones(3))
        assert not watch.is_stray(torch.arange(3, device=x.device))
        assert not watch.is_stray(torch.ones(3).to(x.device))
        assert not watch.is_stray(x.new_ones(3))


def test_strays_do_not_mix_with_inputs():
    x = torch.ones(3)
    with PlacementWatch(), pytest.raises(AssertionError, match="made without device="):
        x * torch.ones(3)
    with PlacementWatch(), pytest.raises(AssertionError, match="index_select"):
        x.index_select(0, torch.arange(2))


@pytest.mark.parametrize("spelt", [lambda x: x.cpu(), lambda x: x.to("cpu")])
def test_what_was_brought_to_the_cpu_stays_there(spelt):
    x = torch.ones(3)
    with PlacementWatch(), pytest.raises(AssertionError, match="left there"):
        spelt(x) + x
    with PlacementWatch(), pytest.raises(AssertionError, match="without device="):
        torch.ones(3, device="cpu") + x


def test_what_accelerators_accept_is_let_through():
    x = torch.ones(3)
    with PlacementWatch() as watch:
        assert not watch.is_stray(x * torch.tensor(2.0))
        assert x[torch.arange(2)].shape == (2,)
        moved = torch.ones(3)
        watch.settle([moved])
        assert (x + moved).tolist() == [2, 2, 2]


def number_there(x: float) -> float:
    return 2 * x


def fails_there() -> None:
    raise ValueError("two\nlines")


def ends_there() -> None:
    os._exit(3)


def test_another_process_answers():
    assert call_elsewhere(number_there, 21) == 42
    assert call_elsewhere(os.getpid) != os.getpid()


def test_a_failure_in_another_process_is_told():
    with pytest.raises(AssertionError, match="in the other process: ValueError: two"):
        call_elsewhere(fails_there)


def test_a_process_that_ends_is_told_and_replaced():
    with pytest.raises(AssertionError, match="the other process ended"):
        call_elsewhere(ends_there)
    assert call_elsewhere(number_there, 1) == 2


def test_randomness_is_seeded_and_left_as_it_was():
    def drawn() -> list[float]:
        return [torch.rand(1).item(), np.random.rand(), random.random()]  # noqa: NPY002

    with fixed_seed(5):
        first = drawn()
    with fixed_seed(7):
        before = drawn()
        with fixed_seed(5):
            assert drawn() == first
        after = drawn()
    with fixed_seed(7):
        assert [drawn(), drawn()] == [before, after]


def test_a_description_tells_sizes_edges_and_numbers():
    graph = Graph(torch.tensor([[0, 1], [1, 1]]), 2)
    assert description(graph) == "2 nodes, 2 edges: 0→1 1→1"
    text = description(torch.tensor([[0.5, -1.25]], dtype=torch.float64))
    assert text == "float64 [1, 2]\n  [0.5 -1.25]"
    many = Graph(torch.stack([torch.arange(50), torch.arange(50)]), 50)
    assert description(many).endswith("…")


class Choosy(nn.Module):
    """Skips a parameter that the kit's batches have nothing for."""

    inputs = ("x", "edge_weight", "batch")

    def forward(self, x, edge_weight=None, batch=None):
        assert edge_weight is None
        return x + batch[:, None]


class Renaming(nn.Module):
    inputs = {"h": "x", "cloud": "batch"}  # noqa: RUF012

    def forward(self, cloud, h):
        return h + cloud[:, None]


class Whole(nn.Module):
    inputs = "batch"

    def forward(self, data):
        return data.x + data.batch[:, None]


class Silent(nn.Module):
    def forward(self, x, *, batch):
        return x + batch[:, None]


class Declaring(nn.Module):
    logits = "[1]"

    def forward(self, x, batch):
        return batch, x + batch[:, None]


class Named(nn.Module):
    def forward(self, x, batch):
        return {"logits": x + batch[:, None], "batch": batch}


@pytest.mark.parametrize("kind", [Choosy, Renaming, Whole, Silent, Declaring, Named])
def test_models_are_called_as_they_declare(kind):
    model, batch = kind(), collate([Sample(id=name, x=torch.ones(2, 3)) for name in "ab"])
    assert logits_of(model, batch)[:, 0].tolist() == [1, 1, 2, 2]
    assert {"x", "batch"} <= set(input_names(model))
    assert takes_edges(model) == (kind is Whole)


def test_what_a_model_cannot_do_without_must_be_in_the_kits_batches():
    network = nn.Linear(3, 4)  # its forward takes "input"
    with pytest.raises(AssertionError, match=r"takes 'input', but the batches of the kit have x"):
        input_names(network)
