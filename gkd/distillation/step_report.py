"""What one step of distillation computed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from torch import Tensor

from gkd.distillation.gradients import gradient_norm


@dataclass(frozen=True, slots=True)
class StepReport:
    """What the distiller computed for one batch.

    Attributes:
        total: scalar, ``task_weight · task + Σ weight · term``, less half the logarithm of every
            weight that is learned; call ``.backward()`` on it.
        task: scalar, the supervised loss.
        terms: scalars by term, unweighted. A term whose weight is 0 in this epoch is not computed
            and therefore absent.
        weights: weight in this epoch, of every term.
        logits: of the student, ``[N, classes]``.
        compared: by term, the student's tensor that it compares, as the network computed it.
        peers: supervised losses of the teachers that are trained, by name.
        task_weight: weight of the task's loss in this epoch.
    """

    total: Tensor
    task: Tensor
    terms: Mapping[str, Tensor]
    weights: Mapping[str, float]
    logits: Tensor
    compared: Mapping[str, Tensor]
    peers: Mapping[str, Tensor] = field(default_factory=dict)
    task_weight: float = 1.0

    def __getattr__(self, name: str) -> NoReturn:
        loss = f": the loss is report.total, report.total.{name}" if hasattr(Tensor, name) else ""
        raise AttributeError(f"a StepReport has no {name!r}{loss}")

    def __str__(self) -> str:
        """Return the numbers, in one line."""
        task = f"task {self.task.item():.6g}"
        parts = [task if self.task_weight == 1 else f"{task} (weight {self.task_weight:g})"]
        parts += [f"task of {name} {value.item():.6g}" for name, value in self.peers.items()]
        parts += [
            f"{name} {value.item():.6g} (weight {self.weights[name]:g})"
            for name, value in self.terms.items()
        ]
        return f"total {self.total.item():.6g}: {', '.join(parts)}"

    def gradient_shares(self) -> dict[str, float]:
        r"""Size of each weighted term's gradient relative to the task's, where the term acts.

        .. math:: w \, \|\partial L_{term} / \partial z\| \; / \; \|\partial L_{task} / \partial z\|

        with z the student's tensor that the term compares. Call it before ``backward()``, which
        frees what it needs. It is infinite where the task does not depend on z.

        Raises:
            ParameterError: the step was computed without gradients.
        """
        shares = {}
        # No tensor of one network is behind the loss of another.
        tasks = sum(self.peers.values(), self.task)
        for name, value in self.terms.items():
            term = self.weights[name] * gradient_norm(value, self.compared[name])
            task = gradient_norm(tasks, self.compared[name])
            shares[name] = term / task if task > 0 else math.inf if term > 0 else 0.0
        return shares
