"""Whether ``torch.compile`` pays: for gkd's networks, the textbook's loss, and GATConv."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gkd import Graph
from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd_benchmarks.gat_cases import Layer
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
    """LSP between 136 channels of a student and 1,024 of a teacher, not compiled itself.

    The textbook has its edges sorted by target, which it need not do itself: rows that are gathered
    one after another lie together.
    """

    alternative = "textbook on sorted edges, compiled"
    long = True

    def __init__(self, kernel: str, **sizes: Any) -> None:
        super().__init__(kernel, **sizes)
        self.goal = Goal()

    def theirs(self, setting: Setting) -> Work:
        """Compile the textbook; in float64, for the error, run it as it is."""
        if setting.exact:
            return super().theirs(setting)
        edges = setting.indices(Graph(self.edges, self.sizes.nodes).edge_index)
        similarity = SIMILARITIES[self.kernel]
        student, teacher = setting.features(self.student), setting.features(self.teacher)
        loss = torch.compile(textbook_loss)
        return lambda: value_and_gradient(
            lambda features: loss(features, teacher, edges, similarity), student
        )


class AgainstCompiledLayer(Layer):
    """Output of a layer and all gradients, its input's included; gkd's layer is not compiled."""

    alternative = "torch_geometric GATConv, compiled"
    long = True

    def their_layer(self, setting: Setting) -> nn.Module:
        """Compile it; in float64, for the error, leave it as it is."""
        layer = super().their_layer(setting)
        if setting.exact:
            return layer
        compiled = torch.compile(layer)
        assert isinstance(compiled, nn.Module)
        return compiled
