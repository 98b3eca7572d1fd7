"""Calling a model as a distiller does."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from gkd.data import Batch, Sample, collate
from gkd.distillation.inputs import NetworkInputs
from gkd.testing.strategies.samples import CONTENTS, batches
from gkd.testing.subject import Subject, declaration, fixed_seed

_AVAILABLE = (*CONTENTS, "batch", "ptr")


def input_names(model: nn.Module) -> tuple[str, ...]:
    """Return the attributes of the kit's batches that the model is called with.

    Raises:
        AssertionError: they lack one that the model cannot do without.
    """
    parameters = inspect.signature(model.forward).parameters.values()
    optional = {p.name for p in parameters if p.default is not p.empty}
    for name in declared_inputs(model):
        if name not in _AVAILABLE and name not in optional:
            raise AssertionError(
                f"forward takes {name!r}, but the batches of the kit have {', '.join(_AVAILABLE)}: "
                "name the parameters so, or declare their names in order as inputs = (...)"
            )
    return tuple(name for name in declared_inputs(model) if name in _AVAILABLE)


def declared_inputs(model: nn.Module) -> tuple[str, ...]:
    """Return the inputs that the model declares, or else those that ``forward`` names."""
    names = declaration(model, "inputs")
    if names is not None:
        return tuple(names)
    parameters = inspect.signature(model.forward).parameters.values()
    return tuple(
        p.name
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        and (p.default is p.empty or p.name in _AVAILABLE)
    )


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
    contents = [name for name in CONTENTS if name in names]
    return batches(contents, in_channels=widths(subject)[0], **form)


def logits_of(
    model: nn.Module, batch: Batch, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Return the logits; everything random in them comes from ``seed``.

    Args:
        model: called with the attributes that it declares, as a distiller would.
        batch: that they are of.
        dtype: of the numbers in them.
        seed: for dropout.
    """
    numbers = {n: tensor.to(dtype) for n, tensor in batch.items() if tensor.is_floating_point()}
    inputs = NetworkInputs(input_names(model), model, "model")
    arguments = inputs.arguments(with_tensors(batch, numbers))
    with fixed_seed(seed):
        output: Tensor = model(*arguments.positional, **arguments.named)
    return output


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


def generic_batch(subject: Subject, samples: int = 2, nodes: int = 8, edges: int = 24) -> Batch:
    """Return one fixed batch on which nothing is special.

    Args:
        subject: the model that takes it.
        samples: how many there are.
        nodes: of each sample.
        edges: of each sample.
    """
    random = torch.Generator().manual_seed(7)
    names, in_channels = input_names(subject.specimen), widths(subject)[0]

    def numbers() -> Tensor:
        return torch.randn(nodes, in_channels, generator=random, dtype=torch.float64)

    def sample(index: int) -> Sample:
        edge_index = torch.randint(nodes, (2, edges), generator=random)
        made = {"x": numbers(), "pos": numbers(), "edge_index": edge_index}
        kept = {name: made[name] for name in CONTENTS if name in names}
        return Sample(id=f"sample-{index}", num_nodes=nodes, **kept)

    return collate([sample(index) for index in range(samples)])
