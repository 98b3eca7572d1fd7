"""What a loss or a weigher may know of a training step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.data.batch_attributes import ChangedBatch
from gkd.data.task import Likelihood
from gkd.errors import UnknownNameError, suggestion
from gkd.loss import Step, View
from gkd.testing.strategies.labels import labels_of

_INPUT_WIDTH = 3


@dataclass(frozen=True)
class StepProblem:
    """A training step as data, which can be printed, changed and sent elsewhere.

    Attributes:
        labels: of the batch, None where it has none.
        labelled: bool ``[N]``, rows whose labels may be used.
        nodes: int64 ``[N]``, names of the rows: 0 to N - 1 in some order.
        x: float64 ``[N, 3]``, that the networks run on.
        classes: width of the logits.
        epoch: from 0.
        number: of the step in its epoch.
        seed: of the generator.
        class_order: int64 ``[classes]``; the c-th class was ``class_order[c]`` before they were
            put in another order, None where they were not.
    """

    labels: Tensor | None
    labelled: Tensor
    nodes: Tensor
    x: Tensor
    classes: int
    epoch: int = 0
    number: int = 0
    seed: int = 0
    class_order: Tensor | None = None

    def in_order(self, order: Tensor) -> "StepProblem":
        """Return the step of the same rows, the n-th of which was ``order[n]``."""
        return replace(
            self,
            labels=None if self.labels is None else self.labels[order],
            labelled=self.labelled[order],
            nodes=self.nodes[order],
            x=self.x[order],
        )

    def to(self, device: torch.device) -> "StepProblem":
        """Return the step on a device, its numbers in float32."""
        return replace(
            self,
            labels=None if self.labels is None else self.labels.to(device),
            labelled=self.labelled.to(device),
            nodes=self.nodes.to(device),
            x=self.x.float().to(device),
        )

    def step(self, views: Mapping[str, View]) -> Step:
        """Return a new step; each draws the same from its generator.

        Its batch has the student's edges, and weights of them. The second pass of a network gives
        the logits of its view at ``x``, and changes with ``x`` by a fixed linear map.

        Args:
            views: of the networks, by name; the first is the student's.
        """
        view = next(iter(views.values()))
        samples = 1 if view.batch is None else int(view.batch[-1]) + 1
        batch = SimpleNamespace(x=self.x, y=self.labels, batch=view.batch)
        if view.graph is not None:
            batch.edge_index = view.graph.edge_index
            # By the names of the ends, so that an edge keeps its weight in any order of the nodes.
            source, target = self.nodes[batch.edge_index]
            batch.edge_weight = 1 + (source + 2 * target) % 4
        slopes = _slopes(self.x, self.classes)
        if self.class_order is not None:
            slopes = slopes[:, self.class_order]

        def logits(network: str = "student", /, **changed: object) -> Tensor:
            if network not in views:
                raise UnknownNameError(f"no network {network!r}; {suggestion(network, views)}")
            x = ChangedBatch(batch, changed).x
            assert isinstance(x, Tensor)
            known = views[network].logits
            return x @ slopes if known is None else known + (x - self.x) @ slopes

        return Step(
            labels=self.labels,
            labelled=self.labelled,
            nodes=self.nodes,
            samples=tuple(f"sample-{index}" for index in range(samples)),
            epoch=self.epoch,
            number=self.number,
            batch=batch,
            generator=torch.Generator(self.x.device).manual_seed(self.seed),
            logits=logits,
            keys=self.nodes,
            teachers=tuple(views)[1:],
        )


@st.composite
def step_problems(
    draw: st.DrawFn,
    num_nodes: int,
    *,
    classes: int = 3,
    likelihood: Likelihood = "softmax",
) -> StepProblem:
    """Draw a step of a batch with labels, of which any number may be used: none and all, too.

    Args:
        draw: given by hypothesis.
        num_nodes: N.
        classes: width of the logits.
        likelihood: what labels fit: class numbers ``[N]``, or ``[N, classes]`` zeros and ones or
            real numbers.
    """
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    share = draw(st.sampled_from([1.0, 0.5, 0.0]))
    return StepProblem(
        labels=labels_of(likelihood, num_nodes, classes, random),
        labelled=torch.rand(num_nodes, generator=random) < share,
        nodes=torch.randperm(num_nodes, generator=random),
        x=torch.randn(num_nodes, _INPUT_WIDTH, generator=random, dtype=torch.float64),
        classes=classes,
        epoch=draw(st.integers(0, 2)),
        number=draw(st.integers(0, 2)),
        seed=draw(st.integers(0, 99)),
    )


def _slopes(x: Tensor, classes: int) -> Tensor:
    """Return the linear map of the second pass, ``[F, classes]``."""
    places = torch.arange(x.shape[1] * classes, device=x.device)
    return places.sin().to(x.dtype).reshape(x.shape[1], classes)
