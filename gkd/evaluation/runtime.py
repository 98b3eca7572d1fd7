"""The time a network takes to answer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import nn

from gkd.data import collate
from gkd.errors import ParameterError


def inference_time(
    model: nn.Module,
    samples: Sequence[Any],
    inputs: Sequence[str],
    *,
    batch_size: int = 1,
    repetitions: int = 5,
    warm_up: int = 1,
    at_most: int = 16,
    clock: Callable[[], float] = perf_counter,
) -> float:
    """Milliseconds per sample of a forward pass, the median over repeated passes.

    One repetition passes over all batches; its time, divided by the number of samples, is one
    measurement. The batches lie on the model's device beforehand, the device is waited for, and
    the model runs in eval mode without autograd; its mode is restored afterwards.

    Args:
        model: Network to measure, on the device to measure it on.
        samples: What to answer; the first ``at_most`` of them are used.
        inputs: Attributes of a batch that the model is called with.
        batch_size: Samples per forward pass.
        repetitions: Measured passes over the batches.
        warm_up: Passes before the first measured one.
        at_most: Largest number of samples to use.
        clock: Seconds, as ``time.perf_counter``.

    Raises:
        ParameterError: There is no sample, or a number is out of its range.
    """
    if min(batch_size, repetitions, at_most) < 1 or warm_up < 0:
        raise ParameterError("batch_size, repetitions and at_most must be at least 1, warm_up 0")
    chosen = [samples[index] for index in range(min(at_most, len(samples)))]
    if not chosen:
        raise ParameterError("there is no sample to measure the inference time with")
    device = _device(model)
    starts = range(0, len(chosen), batch_size)
    batches = [collate(chosen[start : start + batch_size]).to(device) for start in starts]
    calls = [[getattr(batch, name) for name in inputs] for batch in batches]
    with _evaluating(model), torch.inference_mode():
        times = [_pass_time(model, calls, device, clock) for _ in range(warm_up + repetitions)]
    return 1000 * median(times[warm_up:]) / len(chosen)


def _pass_time(
    model: nn.Module, calls: list[list[Any]], device: torch.device, clock: Callable[[], float]
) -> float:
    _wait_for(device)
    begin = clock()
    for arguments in calls:
        model(*arguments)
    _wait_for(device)
    return clock() - begin


def _device(model: nn.Module) -> torch.device:
    tensor = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
