"""Size, run time and memory; time is measured with a clock of our own, not the machine's."""

import sys
from collections.abc import Callable, Iterator
from itertools import accumulate

import pytest
import torch
from torch import Tensor, nn

from gkd import Sample
from gkd.errors import ParameterError
from gkd.evaluation.cost import inference_time, parameter_count, peak_memory

MIB = 2**20
CPU = torch.device("cpu")


def test_buffers_do_not_count() -> None:
    assert parameter_count(nn.BatchNorm1d(5)) == 10


def test_frozen_parameters_count() -> None:
    assert parameter_count(nn.Linear(3, 2).requires_grad_(False)) == 8


def test_shared_parameters_count_once() -> None:
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert parameter_count(nn.Sequential(first, second)) == 16


def test_a_lazy_parameter_is_named() -> None:
    model = nn.Sequential(nn.Identity(), nn.LazyLinear(3))
    with pytest.raises(ParameterError, match=r"'1\.weight' has no shape"):
        parameter_count(model)
    model(torch.zeros(1, 7))
    assert parameter_count(model) == 24


class Witness(nn.Module):
    """Remembers how it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.calls: list[list[int]] = []
        self.was_training: set[bool] = set()
        self.was_inference: set[bool] = set()

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        self.calls.append(batch.tolist())
        self.was_training |= {module.training for module in self.modules()}
        self.was_inference.add(torch.is_inference_mode_enabled())
        out: Tensor = self.linear(x)
        return out


def clock_of(durations: list[float]) -> Callable[[], float]:
    """Clock that is read before and after each pass, which take these seconds."""

    def readings() -> Iterator[float]:
        for end, duration in zip(accumulate(durations), durations, strict=True):
            yield end - duration
            yield end

    return readings().__next__


@pytest.fixture
def samples() -> list[Sample]:
    return [Sample(id=str(index), x=torch.zeros(index + 1, 2)) for index in range(3)]


def test_it_is_the_median_over_repetitions_per_sample(samples: list[Sample]) -> None:
    clock = clock_of([50.0, 0.3, 9.0, 0.6])
    time = inference_time(Witness(), samples, ("x", "batch"), repetitions=3, clock=clock)
    assert time == pytest.approx(1000 * 0.6 / 3)


def test_every_pass_sees_every_batch(samples: list[Sample]) -> None:
    model = Witness()
    inference_time(model, samples, ("x", "batch"), batch_size=2, repetitions=2, warm_up=1)
    assert model.calls == [[0, 1, 1], [0, 0, 0]] * 3


def test_no_more_samples_are_used_than_asked_for(samples: list[Sample]) -> None:
    model = Witness()
    clock = clock_of([0.2])
    options = {"repetitions": 1, "warm_up": 0, "at_most": 2}
    time = inference_time(model, samples, ("x", "batch"), clock=clock, **options)
    assert len(model.calls) == 2
    assert time == pytest.approx(100)


@pytest.mark.parametrize("training", [True, False])
def test_it_evaluates_and_restores_every_mode(samples: list[Sample], training: bool) -> None:
    model = Witness().train(training)
    model.linear.train(not training)
    inference_time(model, samples, ("x", "batch"))
    assert model.was_training == {False}
    assert model.was_inference == {True}
    assert (model.training, model.linear.training) == (training, not training)


def test_modes_are_restored_after_a_failure(samples: list[Sample]) -> None:
    class Failing(Witness):
        def forward(self, x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
            raise TypeError("as networks do")

    model = Failing().train()
    with pytest.raises(TypeError, match="as networks do"):
        inference_time(model, samples, ("x", "batch"))
    assert all(module.training for module in model.modules())


def test_without_samples_there_is_no_time() -> None:
    with pytest.raises(ParameterError, match="no sample"):
        inference_time(Witness(), [], ("x", "batch"))


@pytest.mark.parametrize("option", ["batch_size", "repetitions", "at_most"])
def test_numbers_out_of_range_are_refused(samples: list[Sample], option: str) -> None:
    with pytest.raises(ParameterError, match=option):
        inference_time(Witness(), samples, ("x", "batch"), **{option: 0})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a step's resident memory")
def test_what_a_step_frees_again_counts() -> None:
    def step() -> None:
        torch.ones(64 * MIB, dtype=torch.uint8)

    found = peak_memory(step, CPU)
    if found is None:
        pytest.skip("this machine does not let a process reset its high-water mark")
    assert 60 * MIB <= found < 200 * MIB


def test_the_step_runs_once() -> None:
    runs: list[int] = []
    peak_memory(lambda: runs.append(1), CPU)
    assert runs == [1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_accelerator_tells_by_its_allocator() -> None:
    device = torch.device("cuda")

    def step() -> None:
        torch.ones(64 * MIB, dtype=torch.uint8, device=device)

    assert peak_memory(step, device) == 64 * MIB
