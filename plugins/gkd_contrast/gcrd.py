"""G-CRD, graph contrastive representation distillation, of Joshi, Liu, Xun, Lin, Foo.

On Representation Knowledge Distillation for Graph Neural Networks, TNNLS 2022,
https://arxiv.org/abs/2111.04964.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import validated
from gkd.functional.node_pairs import over_pairs
from gkd.functional.paired_rows import (
    directions,
    drawn_rows,
    not_built,
    paired_features,
    require_widths,
)


class GCRD(AbstractLoss):
    r"""Cross entropy of finding each node's teacher features among those of all nodes.

    With learned maps g and h into a common space, of unit length there:

    .. math:: -\frac{1}{N} \sum_i \log
        \frac{\exp(g(z^s_i) \cdot h(z^t_i) / \tau)}{\sum_j \exp(g(z^s_i) \cdot h(z^t_j) / \tau)}

    All nodes of a batch are told apart, also those of its other graphs. The value lies between 0
    and :math:`\log N + 2/\tau`; it is not 0 where student and teacher agree. Similarities are
    computed in blocks of nodes and again in the backward pass: memory is O(N·(F + F' + width)),
    time O(N²·width).

    Args:
        width: of the common space.
        temperature: τ.
        head: ``"linear"``, or ``"batch-norm"`` for a linear map, batch normalisation and ReLU; its
            gradient may overflow in float16 where all nodes have nearly the same features.
        samples: nodes drawn for each call where there are more; None takes all.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of other
            widths than those built for.

    When:
        CRD's idea without a bank: the batch is large, as a whole graph is, and has its own
        negatives.

    Source:
        The paper's G-CRD. Its code (chaitjo/efficient-gnns, ``nce_criterion``) takes width 256,
        τ = 0.075, heads with batch normalisation and at most 8192 nodes.

    Example:
        >>> student = View(features=torch.randn(6, 4, requires_grad=True))
        >>> teacher = View(features=torch.randn(6, 16))
        >>> loss = GCRD(width=8)
        >>> loss.build(student, teacher)
        >>> loss(student, teacher, step=Step.of(student)).backward()
        >>> student.features.grad.shape
        torch.Size([6, 4])
    """

    uses = ("features",)
    zero_at_equality = False
    least_at_equality = False
    samples_apart = False
    linear_work = False  # each row is compared with all
    paper = Paper(
        "Joshi, Liu, Xun, Lin, Foo",
        "On Representation Knowledge Distillation for Graph Neural Networks",
        "TNNLS",
        2022,
        "https://arxiv.org/abs/2111.04964",
    )
    parity = ("chaitjo/efficient-gnns",)
    heads: nn.ModuleDict | None

    @validated
    def __init__(
        self,
        width: PositiveInt = 256,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 0.075,
        head: Literal["linear", "batch-norm"] = "linear",
        samples: Annotated[int, Field(ge=2)] | None = 4096,
    ) -> None:
        super().__init__()
        self.width, self.temperature = width, temperature
        self.head, self.samples = head, samples
        self.heads = None

    def build(self, student: View, teacher: View) -> None:
        """Create the two maps for these widths; those that exist stay, with what they learned."""
        if self.heads is not None:
            return
        pair = paired_features(
            student.require_features("gcrd"), teacher.require_features("gcrd"), "gcrd"
        )
        self.heads = nn.ModuleDict(
            {
                name: self._new_head(features.shape[1]).to(features)
                for name, features in zip(("student", "teacher"), pair, strict=True)
            }
        )

    def _new_head(self, channels: int) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Linear(channels, self.width)]
        if self.head == "batch-norm":
            layers += [nn.BatchNorm1d(self.width), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean cross entropy; 0 where there are fewer than two nodes."""
        ours, theirs = paired_features(
            student.require_features("gcrd"), teacher.require_features("gcrd"), "gcrd"
        )
        heads = self._heads_for(ours, theirs)
        s, t = drawn_rows(ours, theirs, self.samples, step.generator)
        if len(s) < 2:  # which batch normalisation would refuse
            return 0 * sum((weights.sum() for weights in heads.parameters()), s.sum())
        # Similarities over so small a temperature lose their digits in half precision.
        with torch.autocast(ours.device.type, enabled=False):
            s, t = _places(heads["student"], s), _places(heads["teacher"], t)

            def errors(rows: slice) -> Tensor:
                among_all = (s[rows] @ t.T / self.temperature).logsumexp(dim=1)
                own: Tensor = torch.linalg.vecdot(s[rows], t[rows]) / self.temperature
                return among_all - own

            return over_pairs(errors, len(s)).mean().to(ours.dtype)

    def _heads_for(self, student: Tensor, teacher: Tensor) -> nn.ModuleDict:
        if self.heads is None:
            raise not_built("gcrd", "the maps do")
        ours, theirs = (_weight(head).shape[1] for head in self.heads.values())
        require_widths("gcrd", (ours, theirs), student, teacher)
        return self.heads

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"width={self.width}, temperature={self.temperature}, head={self.head!r}, "
            f"samples={self.samples}"
        )


def _weight(head: nn.Module) -> Tensor:
    return next(head.parameters())


def _places(head: nn.Module, features: Tensor) -> Tensor:
    return directions(head(features.to(_weight(head).dtype)), dim=1)
