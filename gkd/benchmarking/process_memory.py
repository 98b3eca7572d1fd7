"""Peak memory of a whole process that runs one side of a benchmark, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import torch

from gkd.benchmarking.benchmark import Setting
from gkd.benchmarking.installed import load_benchmark
from gkd.errors import GkdError
from gkd.evaluation.cost import status_bytes


def process_peak(case: str, setting: Setting, *, ours: bool, threads: int) -> int | None:
    """Bytes that a fresh process holds at its peak while it prepares one side and runs it twice.

    On an accelerator, its memory counts, not that of the process. None where nothing tells.

    Args:
        case: name of the benchmark.
        setting: where, and in which precision.
        ours: whether to run gkd's side, or the alternative's.
        threads: number of threads of torch.

    Raises:
        GkdError: the process failed; the message holds the end of what it said.
    """
    dtype = str(setting.dtype).removeprefix("torch.")
    arguments = [case, "ours" if ours else "theirs", setting.device.type, dtype, str(threads)]
    command = [sys.executable, "-m", "gkd.benchmarking.process_memory", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GkdError(f"{case}: measuring a fresh process failed: {done.stderr.strip()[-2000:]}")
    peak: int | None = json.loads(done.stdout.splitlines()[-1])
    return peak


def _run(case: str, side: str, device: str, dtype: str, threads: str) -> int | None:
    torch.set_num_threads(int(threads))
    setting = Setting(torch.device(device), getattr(torch, dtype))
    benchmark = load_benchmark(case)
    work = benchmark.ours(setting) if side == "ours" else benchmark.theirs(setting)
    for _ in range(2):
        work()
    if device != "cpu":
        peak: int = torch.get_device_module(device).max_memory_allocated()
        return peak
    # What getrusage says would include the parent's peak, from before it became this process.
    try:
        return status_bytes(Path("/proc/self"), "VmHWM")
    except OSError:
        return None


if __name__ == "__main__":
    print(json.dumps(_run(*sys.argv[1:])))
