"""The memory a step takes."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch


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
    if device.type != "cpu":
        return _accelerator_peak(step, device)
    return _resident_peak(step)


def _accelerator_peak(step: Callable[[], object], device: torch.device) -> int | None:
    memory = torch.get_device_module(device)
    if not hasattr(memory, "reset_peak_memory_stats"):
        step()
        return None
    torch.accelerator.synchronize(device)
    memory.reset_peak_memory_stats(device)
    before: int = memory.memory_allocated(device)
    step()
    torch.accelerator.synchronize(device)
    peak: int = memory.max_memory_allocated(device)
    return peak - before


def _resident_peak(step: Callable[[], object]) -> int | None:
    process = Path("/proc/self")
    try:
        _return_free_pages()
        (process / "clear_refs").write_text("5")  # sets the high-water mark back to now
        before = status_bytes(process, "VmRSS")
    except OSError:
        step()
        return None
    step()
    return max(0, status_bytes(process, "VmHWM") - before)


def _return_free_pages() -> None:
    # What earlier steps freed, and the allocator kept, would be taken again unseen.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)


def status_bytes(process: Path, field: str) -> int:
    """Return what Linux says of a process under ``field``; OSError where there is no such thing."""
    for line in (process / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return 1024 * int(value.split()[0])
    raise OSError(f"{process}/status has no {field}")
