"""What a loss remembers of rows, and what rows are called."""

import copy
from types import SimpleNamespace

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributed, multiprocessing

import gkd
from gkd import RowMemory, Step, View
from gkd.data.batch_nodes import BatchNodes
from gkd.distillation.step import row_keys
from gkd.errors import ParameterError

CPU = torch.device("cpu")


def step_of(*nodes: int) -> Step:
    return Step.of(View(features=torch.zeros(len(nodes), 1)), nodes=torch.tensor(nodes))


@given(steps=st.lists(st.lists(st.integers(-50, 50), unique=True, max_size=8), max_size=6))
def test_it_is_a_dictionary_of_rows(steps):
    memory, known = RowMemory(width=1), {}
    for number, nodes in enumerate(steps):
        view = View(features=torch.zeros(len(nodes), 1))
        step = Step.of(view, nodes=torch.tensor(nodes, dtype=torch.int64))
        places = memory.places(step, "x")
        assert memory.values[places, 0].tolist() == [known.get(node, 0.0) for node in nodes]
        written = [100.0 * number + place for place in range(len(nodes))]
        before = memory.values.clone()
        held = memory.values
        memory.write(places, torch.tensor(written).reshape(-1, 1))
        assert torch.equal(held, before)  # never in place
        known |= dict(zip(nodes, written, strict=True))
    assert len(memory.values) == len({node for nodes in steps for node in nodes})


def test_new_rows_begin_by_their_key_alone():
    one, other = (RowMemory(width=3, spread=0.5) for _ in range(2))
    one.places(step_of(1, 2, 3), "x")
    other.places(step_of(3), "x")
    places = other.places(step_of(2, 1, 3), "x")
    torch.testing.assert_close(other.values[places], one.values[one.places(step_of(2, 1, 3), "x")])
    assert one.values.abs().max() <= 0.5
    assert one.values.abs().max() > 0.1


def test_a_checkpoint_holds_it():
    memory = RowMemory(width=2)
    memory.write(memory.places(step_of(7, 5), "x"), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    resumed = RowMemory(width=2)
    resumed.places(step_of(1, 2, 3), "x")
    resumed.load_state_dict(copy.deepcopy(memory.state_dict()))
    assert resumed.values[resumed.places(step_of(5), "x")].tolist() == [[3.0, 4.0]]
    with pytest.raises(RuntimeError, match="size mismatch"):
        RowMemory(width=3).load_state_dict(memory.state_dict())


def test_a_copy_leaves_it_alone():
    memory = RowMemory(width=1)
    memory.places(step_of(1), "x")
    look = memory.copy()
    look.write(look.places(step_of(1, 2), "x"), torch.ones(2, 1))
    assert memory.values.tolist() == [[0.0]]


def test_a_row_that_comes_twice_is_written_as_the_mean():
    memory = RowMemory(width=1)
    places = memory.places(step_of(4, 9), "x")
    memory.write(places[[0, 1, 0]], torch.tensor([[1.0], [5.0], [2.0]]))
    assert memory.values[places].tolist() == [[1.5], [5.0]]


def together(rank: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    memory = RowMemory(width=1, spread=1.0)
    for nodes in ([1, 2], [3]) if rank == 0 else ([2], [5, 4]):
        places = memory.places(step_of(*nodes), "x")
        memory.write(places, torch.full((len(nodes), 1), float(10 * rank + nodes[0])))
    torch.save((memory.keys, memory.values[memory.slots]), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_processes_that_train_together_have_one_memory(tmp_path):
    multiprocessing.spawn(together, args=(str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for ours, theirs in zip(one, other, strict=True):
        assert torch.equal(ours, theirs)
    assert one[0].tolist() == [1, 2, 3, 4, 5]
    assert one[1].flatten().tolist() == [1.0, (1.0 + 12.0) / 2, 3.0, 15.0, 15.0]


class TestKeys:
    def test_the_batchs_own_names_of_nodes(self):
        batch = SimpleNamespace(n_id=torch.tensor([8, 6]), ids=("a",))
        assert row_keys(BatchNodes(batch), 2, CPU).tolist() == [8, 6]

    def test_samples_and_the_places_in_them(self):
        def keys(*ids: str, sizes: tuple[int, ...]) -> list[int]:
            samples = torch.repeat_interleave(torch.arange(len(ids)), torch.tensor(sizes))
            batch = SimpleNamespace(batch=samples, ids=ids)
            return row_keys(BatchNodes(batch), len(samples), CPU).tolist()

        a, b = keys("a", sizes=(3,)), keys("b", sizes=(2,))
        assert keys("b", "a", sizes=(2, 3)) == [*b, *a]
        assert len({*a, *b}) == 5

    def test_whole_graphs(self):
        batch = SimpleNamespace(batch=torch.tensor([0, 0, 1]), ids=("a", "b"))
        one = row_keys(BatchNodes(SimpleNamespace(batch=torch.tensor([0]), ids=("b",))), 1, CPU)
        assert row_keys(BatchNodes(batch), 2, CPU)[1] == one[0]

    @pytest.mark.parametrize(
        "batch",
        [
            SimpleNamespace(),
            SimpleNamespace(n_id=torch.arange(5)),
            SimpleNamespace(ids=("a", "b")),
            SimpleNamespace(batch=torch.tensor([0, 0, 1])),
        ],
    )
    def test_rows_without_names(self, batch):
        assert row_keys(BatchNodes(batch), 3, CPU) is None

    def test_a_step_has_those_of_its_rows(self):
        class Keeps(gkd.AbstractLoss):
            uses = ("logits",)

            def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
                self.step = step
                return student.logits.square().mean()

        batch, loss = batch_of(), Keeps()
        batch.n_id, batch.m = torch.arange(6) + 10, torch.arange(6) % 2 == 0
        networks = {"a": Network(), "b": Network()}
        distiller_of(networks, Network(), gkd.Term(loss, teacher="b:", rows="m"))(batch)
        assert loss.step.keys.tolist() == [10, 12, 14]
        assert loss.step.teachers == ("b",)
        del batch.n_id
        distiller_of(networks, Network(), gkd.Term(loss, teacher="b:"))(batch)
        with pytest.raises(ParameterError, match=r"crd knows rows again, but the batch names neit"):
            loss.step.require_keys("crd")
