"""Calling a model as a distiller does."""

import inspect
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from gkd.data import Batch, Sample, collate
from gkd.distillation import logits
from gkd.distillation.inputs import WHOLE, Inputs, NetworkInputs, inputs_or
from gkd.graph import Graph
from gkd.testing.strategies.samples import CONTENTS, batches
from gkd.testing.subject import Subject, fixed_seed

_AVAILABLE = (*CONTENTS, "batch", "ptr")


def input_names(model: nn.Module) -> tuple[str, ...]:
    """Return the attributes of the kit's batches that the model is called with.

    Raises:
        AssertionError: they lack one that the model cannot do without.
    """
    optional = {p.name for p in _parameters(model) if p.default is not p.empty}
    for place, name in _places(model).items():
        if name not in _AVAILABLE and place not in optional:
            raise AssertionError(
                f"forward takes {name!r}, but the batches of the kit have {', '.join(_AVAILABLE)}: "
                "name the parameters so, or declare what they are called with as inputs = (...)"
            )
    return tuple(name for name in _places(model).values() if name in _AVAILABLE)


def takes_edges(model: nn.Module) -> bool:
    """Whether the model is called with the edges of a batch."""
    return "edge_index" in _places(model).values()


def _inputs(model: nn.Module) -> Inputs:
    """Return what the model declares that it is called with, or else what ``forward`` names."""
    named = [p for p in _parameters(model) if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    default = [p.name for p in named if p.default is p.empty or p.name in _AVAILABLE]
    return inputs_or(model, default)


def _places(model: nn.Module) -> Mapping[str, str]:
    inputs = _inputs(model)
    names = _AVAILABLE if inputs == WHOLE else inputs
    return names if isinstance(names, Mapping) else {name: name for name in names}


def _parameters(model: nn.Module) -> Collection[inspect.Parameter]:
    return inspect.signature(model.forward).parameters.values()


def widths(subject: Subject) -> tuple[int, int]:
    """Return the widths of the input and of the output."""
    return int(subject.params["in_channels"]), int(subject.params["out_channels"])


def model_batches(subject: Subject, **form: Any) -> SearchStrategy[Batch]:
    """Return the batches that a model takes, of the width that it was made for.

    Args:
        subject: the model.
        **form: as in :func:`gkd.testing.strategies.batches`.
    """
    names = input_names(subject.specimen)
    contents = tuple(name for name in CONTENTS if name in names)
    return subject.problems(batches, contents, in_channels=widths(subject)[0], **form)


def logits_of(
    model: nn.Module, batch: Batch, dtype: torch.dtype = torch.float64, seed: int | None = 0
) -> Tensor:
    """Return the logits; everything random in them comes from ``seed``.

    Args:
        model: called with the attributes that it declares, as a distiller would.
        batch: that they are of.
        dtype: of the numbers in them.
        seed: for dropout; None leaves the state as it is.
    """
    numbers = {n: tensor.to(dtype) for n, tensor in batch.items() if tensor.is_floating_point()}
    inputs = NetworkInputs(_inputs(model), model, "model")
    arguments = inputs.arguments(with_tensors(batch, numbers))
    with nullcontext() if seed is None else fixed_seed(seed):
        output = model(*arguments.positional, **arguments.named)
    return logits.logits_of(output, logits.declared_logits(model), "the model")


def evaluation_model(
    subject: Subject, dtype: torch.dtype = torch.float64, seed: int = 0
) -> nn.Module:
    """Return a new model in evaluation mode."""
    model: nn.Module = subject.create(seed)
    return model.to(dtype).eval()


def training_model(
    subject: Subject, dtype: torch.dtype = torch.float64, seed: int = 0
) -> nn.Module:
    """Return a new model in training mode."""
    model: nn.Module = subject.create(seed)
    return model.to(dtype).train()


def with_tensors(batch: Batch, changes: Mapping[str, Tensor]) -> Batch:
    """Return the batch with some tensors replaced by others of the same shape."""
    tensors = {name: changes.get(name, tensor) for name, tensor in batch.items()}
    return Batch(tensors, batch.ids, batch.extents)


def generic_batch(
    subject: Subject,
    samples: int = 2,
    nodes: int = 8,
    edges: int = 24,
    graph: Graph | None = None,
) -> Batch:
    """Return one fixed batch on which nothing is special.

    Args:
        subject: the model that takes it.
        samples: how many there are.
        nodes: of each sample.
        edges: of each sample.
        graph: of every sample, in place of one that is drawn.
    """
    nodes = nodes if graph is None else graph.num_nodes
    random = torch.Generator().manual_seed(7)
    names, in_channels = input_names(subject.specimen), widths(subject)[0]

    def numbers() -> Tensor:
        return torch.randn(nodes, in_channels, generator=random, dtype=torch.float64)

    def sample(index: int) -> Sample:
        edge_index = torch.randint(nodes, (2, edges), generator=random)
        if graph is not None:
            edge_index = graph.edge_index
        made = {"x": numbers(), "pos": numbers(), "edge_index": edge_index}
        kept = {name: made[name] for name in CONTENTS if name in names}
        return Sample(id=f"sample-{index}", num_nodes=nodes, **kept)

    return collate([sample(index) for index in range(samples)])
