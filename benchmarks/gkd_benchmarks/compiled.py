"""Whether ``torch.compile`` pays: for gkd's networks, and for the textbook's loss."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd_benchmarks.lsp_cases import LSP
from gkd_benchmarks.problems import value_and_gradient
from gkd_benchmarks.steps import Step
from gkd_benchmarks.textbook import SIMILARITIES, textbook_loss


class CompiledStep(Benchmark):
    """A training step of a student, without distillation, with its network compiled.

    Above 1 it pays. Compiling, which takes up to a minute, is not measured.
    """

    alternative = "not compiled"
    repeats = 9
    long = True

    def __init__(self, step: Callable[..., Step], **sizes: Any) -> None:
        self.step = step(goal=Goal(), **sizes)

    def ours(self, setting: Setting) -> Work:
        """Compile the network."""
        student = setting.module(self.step.networks()[1])
        compiled = torch.compile(student)
        assert isinstance(compiled, torch.nn.Module)
        return self.step.alone(compiled, setting)

    def theirs(self, setting: Setting) -> Work:
        """Run it as it is."""
        return self.step.theirs(setting)

    def error(self, results: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
        """Return the relative error of the gradient as a whole."""
        return self.step.error(results, exact)


class AgainstCompiledTextbook(LSP):
    """LSP between 136 channels of a student and 1,024 of a teacher, not compiled itself."""

    alternative = "textbook, compiled"
    long = True

    def __init__(self, kernel: str, **sizes: Any) -> None:
        super().__init__(kernel, **sizes)
        self.goal = Goal()

    def theirs(self, setting: Setting) -> Work:
        """Compile the textbook; in float64, for the error, run it as it is."""
        if setting.exact:
            return super().theirs(setting)
        edges, similarity = setting.indices(self.edges), SIMILARITIES[self.kernel]
        student, teacher = setting.features(self.student), setting.features(self.teacher)
        loss = torch.compile(textbook_loss)
        return lambda: value_and_gradient(
            lambda features: loss(features, teacher, edges, similarity), student
        )
