import sys

import pytest
import torch

from gkd.evaluation.memory import peak_memory

MIB = 2**20
CPU = torch.device("cpu")


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
