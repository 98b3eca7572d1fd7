"""What a network costs: its parameters, the time it takes to answer, the memory of a step."""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from gkd.data import collate
from gkd.distillation.inputs import Inputs, NetworkInputs
from gkd.distillation.layer_by_layer import call_by_layers
from gkd.distillation.modes import evaluation_mode
from gkd.errors import ParameterError
from gkd.functional.network_input import device_of


def parameter_count(model: nn.Module) -> int:
    """Count the scalars of a model's parameters, frozen ones included, shared ones once.

    Buffers (running statistics of a normalisation) are not parameters.

    Raises:
        ParameterError: A lazy parameter has no shape yet.

    >>> parameter_count(nn.Linear(3, 2))
    8
    """
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise ParameterError(f"parameter {name!r} has no shape before the first forward pass")
    return sum(parameter.numel() for parameter in model.parameters())


def inference_time(
    model: nn.Module,
    samples: Sequence[Any],
    inputs: Inputs,
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
        inputs: What the model is called with, as :class:`gkd.Distiller` takes it.
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
    device = device_of(model)
    starts = range(0, len(chosen), batch_size)
    batches = [collate(chosen[start : start + batch_size]).to(device) for start in starts]
    called_with = NetworkInputs(inputs, model, "network")
    calls = [called_with.arguments(batch) for batch in batches]
    times = []
    with evaluation_mode(model), torch.inference_mode():
        for _ in range(warm_up + repetitions):
            wait_for(device)
            begin = clock()
            for arguments in calls:
                call_by_layers(model, arguments)
            wait_for(device)
            times.append(clock() - begin)
    return 1000 * median(times[warm_up:]) / len(chosen)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was told to."""
    if device.type != "cpu":  # kernels run on after the call that started them has returned
        torch.accelerator.synchronize(device)


def peak_memory(step: Callable[[], object], device: torch.device) -> int | None:
    """Largest number of bytes a step holds at once beyond what is held before it.

    On an accelerator it is what its allocator hands out; on the CPU it is the resident memory of
    the process, which Linux alone can measure per step.

    Args:
        step: What to measure, for instance one training step; it runs once.
        device: Where it computes.

    Returns:
        Bytes, or None where this machine cannot tell.
    """
    if device.type == "cpu":
        return _resident_peak(step)
    memory = torch.get_device_module(device)
    if not hasattr(memory, "reset_peak_memory_stats"):
        step()
        return None
    wait_for(device)
    memory.reset_peak_memory_stats(device)
    before: int = memory.memory_allocated(device)
    step()
    wait_for(device)
    peak: int = memory.max_memory_allocated(device)
    return peak - before


def _resident_peak(step: Callable[[], object]) -> int | None:
    process = Path("/proc/self")
    try:
        # What earlier steps freed, and the allocator kept, would be taken again unseen.
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc alone has it
            trim(0)
        (process / "clear_refs").write_text("5")  # sets the high-water mark back to now
        before = status_bytes(process, "VmRSS")
    except OSError:
        step()
        return None
    step()
    return max(0, status_bytes(process, "VmHWM") - before)


def status_bytes(process: Path, field: str) -> int:
    """Return what Linux says of a process under ``field``; OSError where there is no such thing."""
    for line in (process / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return 1024 * int(value.split()[0])
    raise OSError(f"{process}/status has no {field}")
