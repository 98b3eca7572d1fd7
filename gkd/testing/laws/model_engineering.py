"""Laws of models: precision, devices, memory, other processes."""

import pickle

import torch
from hypothesis import strategies as st
from torch import nn

from gkd.data import Batch
from gkd.testing.law import law, require, unless_declared
from gkd.testing.laws.cases import FULLS, HALVES, InPrecision
from gkd.testing.laws.comparison import require_close, require_finite
from gkd.testing.laws.memory_bound import BLOCK
from gkd.testing.laws.model_calls import (
    evaluating,
    generic_batch,
    input_names,
    inputs,
    logits_of,
    model_batches,
    training,
)
from gkd.testing.laws.model_training import trained
from gkd.testing.memory import MemoryWatch
from gkd.testing.other_process import elsewhere
from gkd.testing.placement import PlacementWatch, accelerator
from gkd.testing.subject import Subject

_PER_EDGE = 8  # heads of attention, not features


@st.composite
def _in_half(draw: st.DrawFn, subject: Subject) -> InPrecision[Batch]:
    return InPrecision(draw(model_batches(subject, min_samples=2, min_nodes=2)), draw(HALVES))


@law("model", problems=_in_half, share=0.5)
def half_precision_under_autocast(subject: Subject, case: InPrecision[Batch]) -> None:
    """Networks train in mixed precision."""
    model = training(subject, torch.float32)
    with torch.autocast("cpu", case.dtype):
        logits = logits_of(model, case.problem, torch.float32)
        value = logits.float().square().mean()
    require_finite(logits, f"the logits in {case.dtype}")
    torch.autograd.backward(value)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            require_finite(parameter.grad, f"the gradient of {name} in {case.dtype}")


@st.composite
def _in_full(draw: st.DrawFn, subject: Subject) -> InPrecision[Batch]:
    return InPrecision(draw(model_batches(subject)), draw(FULLS))


@law("model", problems=_in_full, share=0.5)
def dtype_preserved(subject: Subject, case: InPrecision[Batch]) -> None:
    """A model in float64 is asked for float64 digits."""
    logits = logits_of(evaluating(subject, case.dtype), case.problem, case.dtype)
    require(logits.dtype == case.dtype, f"in {case.dtype} the logits are {logits.dtype}")


@law("model")
def device_preserved(subject: Subject) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    batch = generic_batch(subject)
    with PlacementWatch() as watch:
        model = training(subject)
        watch.settle([*model.parameters(), *model.buffers()])
        logits = logits_of(model, batch)
        require(not watch.is_stray(logits), "the logits are made without device=")
        torch.autograd.backward(logits.square().sum())
    device = accelerator()
    if device is not None:
        model = training(subject, torch.float32).to(device)
        logits = logits_of(model, batch.to(device), torch.float32)
        require(logits.device.type == device.type, f"inputs on {device} give {logits.device}")
        require_finite(logits, f"the logits on {device}")


@law("model", exemption=unless_declared("bounded_memory"))
def bounded_memory(subject: Subject) -> None:
    """Graphs have many more edges than nodes: features gathered for each do not fit."""
    nodes, edges = 1024, 8192
    few, large = _largest(subject, nodes, edges), _largest(subject, 2 * nodes, edges)
    require(
        large.elements <= max(3 * few.elements, BLOCK),
        f"with {2 * nodes} instead of {nodes} nodes, {large.description}: "
        f"{large.elements / few.elements:.1f} times as much; {_HINT}",
    )
    if "edge_index" not in input_names(subject.specimen):
        return
    many = _largest(subject, nodes, 4 * edges)
    per_edge = (many.elements - few.elements) / (3 * edges)
    require(
        per_edge <= _PER_EDGE,
        f"with {4 * edges} edges, {many.description}: {per_edge:.0f} numbers for every further "
        f"edge, where {_PER_EDGE} do; {_HINT}",
    )


_HINT = "a model that cannot do with less declares bounded_memory = False"


def _largest(subject: Subject, nodes: int, edges: int) -> MemoryWatch:
    batch = generic_batch(subject, samples=1, nodes=nodes, edges=edges)
    model = evaluating(subject, torch.float32)
    watch = MemoryWatch()
    with watch:
        torch.autograd.backward(logits_of(model, batch, torch.float32).square().sum())
    return watch


@law("model")
def pickles(subject: Subject) -> None:
    """Launchers, checkpoints and data loaders send components by pickle."""
    batch = generic_batch(subject)
    model = trained(subject, batch)
    copy = pickle.loads(pickle.dumps(model))
    require_close(logits_of(copy, batch), logits_of(model, batch), "after pickling")


@law("model")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes train together, and none sees the others' memory."""
    batch = generic_batch(subject)
    model = trained(subject, batch)
    there = elsewhere(_numbers_of, model, batch)
    expected = logits_of(model, batch)
    result = torch.tensor(there, dtype=expected.dtype)
    require_close(result, expected, "in another process")


def _numbers_of(model: nn.Module, batch: Batch) -> list[list[float]]:
    with torch.no_grad():
        numbers: list[list[float]] = model(*inputs(model, batch)).tolist()
    return numbers
