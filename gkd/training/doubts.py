"""What networks and terms can be trained and are probably a mistake: said before any is."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from gkd.data import AbstractDataset, Batch
from gkd.distillation.distiller import Distiller
from gkd.distillation.inputs import declared_inputs, forward_parameters
from gkd.distillation.resolve import STUDENT
from gkd.distillation.schedule import Schedule
from gkd.distillation.task_choice import find_task
from gkd.errors import NAMED
from gkd.graph import Graph

_MANY = 32
"""Numbers that are not all between 0 and 1 by chance."""

_OVERWHELMING = 1e6
"""Ratio of gradients beyond which Adam, in single precision, follows the larger alone."""


def unread_data(network: nn.Module, dataset: AbstractDataset) -> list[str]:
    """Return in words what the data have and a network could take, and is not called with.

    Nothing of one that says itself what it is called with.
    """
    if declared_inputs(network) is not None:
        return []
    others = {*dataset.inputs, *dataset.rows.values(), find_task(dataset.task).target}
    names = [name for name in dataset.train[0].keys() if name not in others]  # noqa: SIM118
    optional = {p.name for p in forward_parameters(network) if p.kind in NAMED}
    if not (unread := [name for name in names if name in optional]):
        return []
    inputs = ", ".join(f'"{name}"' for name in (*dataset.inputs, *unread))
    return [
        f"the data have {', '.join(unread)}, for which its forward has a parameter, and it is "
        f"called with {', '.join(dataset.inputs)} alone: to give it all, say inputs = [{inputs}]"
    ]


def doubtful_terms(distiller: Distiller, batch: Batch, epochs: int) -> list[str]:
    """Take a batch through the epochs in which terms weigh most, and return what is odd about them.

    Args:
        distiller: prepared; stays in the last of those epochs.
        batch: of training.
        epochs: of the training.
    """
    notes, heaviest = [], {}
    for term in distiller.terms:
        if term.weigher is not None and any(p.requires_grad for p in term.weigher.parameters()):
            notes.append(
                f"the weigher of the term {term.name!r} has parameters, which nothing trains: what "
                "learns belongs into a loss"
            )
        if not isinstance(term.weight, Schedule):  # in every epoch alike
            heaviest[term.name] = 0
            continue
        heaviest[term.name] = max(range(epochs), key=term.weight.weight_at)
        if term.weight.weight_at(heaviest[term.name]) == 0:
            notes.append(f"the term {term.name!r} has no weight in any of {epochs} epochs")
    for epoch in sorted({*heaviest.values()} or {0}):
        distiller.epoch = epoch
        report = distiller(batch)
        notes += [
            f"the loss of the term {name!r} has no gradient, so that it teaches nothing: it is a "
            "constant, detached, or computed under no_grad"
            for name, value in report.terms.items()
            if heaviest[name] == epoch and not value.requires_grad
        ]
        if report.task_weight == 0:
            continue
        for name, share in report.gradient_shares().items():
            if heaviest[name] == epoch and _OVERWHELMING < share < math.inf:
                notes.append(
                    f"the gradient of the term {name!r}, with the weight {report.weights[name]:g} "
                    f"in epoch {epoch + 1}, is {share:.0e} times that of the task, which the "
                    "student will not learn beside it"
                )
    return notes


@torch.no_grad()
def doubtful_answers(distiller: Distiller, batch: Batch) -> list[str]:
    """Return in words which networks that learn seem to answer with probabilities, not logits.

    Args:
        distiller: whose networks are thrown away afterwards.
        batch: of training.
    """
    likelihood, found = distiller.task.likelihood, []
    for name in (STUDENT, *distiller.peers):
        logits = distiller.outputs(name, batch).logits
        if logits is None or not bool(((logits >= 0) & (logits <= 1)).all()):
            continue
        # One of few numbers may be between 0 and 1 by chance, all of many are not.
        many = logits.numel() >= _MANY
        sums = logits.float().sum(-1)
        alike = many and bool(torch.isclose(sums, torch.ones(()), atol=1e-3).all())
        if (likelihood == "softmax" and alike) or (likelihood == "sigmoid" and many):
            found.append(
                f"the {name} answers with numbers between 0 and 1, as {likelihood} makes them: "
                f"tasks and losses take logits, and apply {likelihood} themselves; leave it out at "
                "the end of forward"
            )
    return found


def late_parameters(distiller: Distiller, known: Sequence[nn.Parameter]) -> list[str]:
    """Name the terms that have made parameters after the optimiser's were collected.

    Args:
        distiller: that has taken a batch.
        known: its parameters before.
    """
    ids = {id(parameter) for parameter in known}
    return [
        f"the loss of the term {name!r} makes parameters while it runs, which no optimiser knows "
        "and nothing trains: it should make them in build(self, student, teacher)"
        for name, loss in distiller.losses.items()
        if any(id(parameter) not in ids for parameter in loss.parameters())
    ]


@dataclass
class CompleteGraphs:
    """Which modules join every node of a sample with every other one, as a k beyond N makes them.

    Attributes:
        notes: one for each such module.
    """

    notes: list[str] = field(default_factory=list)

    @contextmanager
    def watched(self, batch: Batch) -> Iterator[None]:
        """Look at the graphs that modules return for ``batch`` inside."""

        def look(module: nn.Module, arguments: object, output: object) -> None:
            if isinstance(output, Graph) and (size := _joined_completely(output, batch.ptr)):
                self.notes.append(
                    f"{type(module).__name__}({module.extra_repr()}) joins all {size} nodes of a "
                    "sample with each other, as it has too few to choose neighbours from"
                )

        handle = register_module_forward_hook(look)
        try:
            yield
        finally:
            handle.remove()


def _joined_completely(graph: Graph, ptr: Tensor) -> int:
    """Return the size of the smallest sample of which all nodes are joined; 0 if there is none."""
    sizes = ptr.diff()
    if graph.num_nodes != int(ptr[-1]):
        return 0
    others = graph.row_pointer.diff()
    others[graph.target[graph.self_loops]] -= 1  # each edge is there once
    owner = torch.repeat_interleave(sizes)
    lacking = others < sizes[owner] - 1
    complete = (sizes > 2) & (torch.bincount(owner[lacking], minlength=len(sizes)) == 0)
    return int(sizes[complete].min()) if complete.any() else 0
