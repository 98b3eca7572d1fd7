"""G-CRD, graph contrastive representation distillation: Joshi et al., TNNLS 2022.

https://arxiv.org/abs/2111.04964.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from gkd import AbstractLoss, ParameterError, Step, View
from gkd.errors import validated
from gkd_global.nodes import directions, paired_features

_SIMILARITIES = 2**20  # at a time: 4 MB in float32


class GCRD(AbstractLoss):
    r"""Cross entropy of finding each node's teacher features among those of all nodes.

    With learned maps g and h into a shared space, of unit length there,

    .. math:: -\frac{1}{N} \sum_i \log
        \frac{\exp(g(z^s_i)^T h(z^t_i) / \tau)}{\sum_j \exp(g(z^s_i)^T h(z^t_j) / \tau)}

    All nodes of a batch are told apart, also those of its other graphs. The value lies between 0
    and :math:`\log N + 2/\tau`; it is not 0 where student and teacher agree. Similarities are
    computed in blocks of rows and again in the backward pass: memory is O(N·(F + F' + width)),
    time O(N²·width).

    Args:
        width: of the shared space.
        temperature: τ.
        head: "linear", or "batch-norm" for a linear map, batch normalisation and ReLU.
        samples: nodes drawn for each call where there are more; None takes all.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of other
            widths than those built for.

    Source:
        The paper's G-CRD. Its code takes width 256, τ = 0.075, heads with batch normalisation and
        at most 8192 nodes.

    Example:
        >>> import torch
        >>> from gkd import View
        >>> student = View(features=torch.randn(6, 4, requires_grad=True))
        >>> teacher = View(features=torch.randn(6, 16))
        >>> loss = GCRD(width=8)
        >>> loss.build(student, teacher)
        >>> loss(student, teacher).backward()
        >>> student.features.grad.shape
        torch.Size([6, 4])
    """

    uses = ("features",)
    zero_at_equality = False
    least_at_equality = False  # both maps begin at random
    samples_apart = False  # every node is compared with all
    linear_work = False
    example_parameters = ({}, {"width": 8, "head": "batch-norm"})

    @validated
    def __init__(
        self,
        width: PositiveInt = 256,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 0.075,
        head: Literal["linear", "batch-norm"] = "linear",
        samples: Annotated[int, Field(ge=2)] | None = None,
    ) -> None:
        super().__init__()
        self.width, self.temperature = width, temperature
        self.head, self.samples = head, samples
        self.heads: nn.ModuleDict | None = None

    def build(self, student: View, teacher: View) -> None:
        """Create the two maps for these widths; those that exist stay, with what they learned."""
        if self.heads is not None:
            return
        ours, theirs = paired_features(student, teacher, "gcrd")
        self.heads = nn.ModuleDict(
            {
                "student": self._new_head(ours.shape[1]).to(ours),
                "teacher": self._new_head(theirs.shape[1]).to(theirs),
            }
        )

    def _new_head(self, channels: int) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Linear(channels, self.width)]
        if self.head == "batch-norm":
            layers += [nn.BatchNorm1d(self.width), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, student: View, teacher: View, *, step: Step | None = None) -> Tensor:
        """Return the mean cross entropy; 0 where there are fewer than two nodes.

        Args:
            student: features.
            teacher: features of the same nodes.
            step: draws the nodes; None, by hand, draws them from the global state of torch.
        """
        ours, theirs = paired_features(student, teacher, "gcrd")
        heads = self._heads_for(ours, theirs)
        if self.samples is not None and self.samples < len(ours):
            generator = torch.default_generator if step is None else step.generator
            drawn = torch.randperm(len(ours), generator=generator, device=generator.device)
            drawn = drawn[: self.samples].to(ours.device)
            ours, theirs = ours[drawn], theirs[drawn]
        if len(ours) < 2:  # batch normalisation would refuse
            return 0 * sum((p.sum() for p in heads.parameters()), ours.sum())
        # Similarities over so small a temperature lose their digits in half precision.
        with torch.autocast(ours.device.type, enabled=False):
            student_places = _places(heads["student"], ours)
            teacher_places = _places(heads["teacher"], theirs)
            return contrast(student_places, teacher_places, self.temperature).mean().to(ours.dtype)

    def _heads_for(self, student: Tensor, teacher: Tensor) -> nn.ModuleDict:
        if self.heads is None:
            raise ParameterError(
                "gcrd: the maps do not exist yet; call build(student, teacher), or the distiller's "
                "prepare(batch), before training"
            )
        built = [_weight(head).shape[1] for head in self.heads.values()]
        if built != [student.shape[1], teacher.shape[1]]:
            raise ParameterError(
                f"gcrd: built for features of widths {built[0]} and {built[1]}, got "
                f"{student.shape[1]} from the student and {teacher.shape[1]} from the teacher"
            )
        return self.heads

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"width={self.width}, temperature={self.temperature}, head={self.head!r}, "
            f"samples={self.samples}"
        )


def contrast(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross entropy of telling each row's counterpart from the other rows, ``[N]``.

    Args:
        student: ``[N, width]``.
        teacher: ``[N, width]``, row i the counterpart of the student's.
        temperature: that dot products are divided by.

    >>> contrast(torch.eye(2), torch.eye(2), temperature=1.0)
    tensor([0.3133, 0.3133])
    """
    rows = max(1, _SIMILARITIES // max(1, len(teacher)))

    def errors(ours: Tensor, own: Tensor, theirs: Tensor) -> Tensor:
        return cross_entropy(ours @ theirs.T / temperature, own, reduction="none")

    nodes = torch.arange(len(student), device=student.device)
    blocks = zip(torch.split(student, rows), torch.split(nodes, rows), strict=True)
    return torch.cat([checkpoint(errors, *block, teacher, use_reentrant=False) for block in blocks])


def _weight(head: nn.Module) -> Tensor:
    return next(head.parameters())


def _places(head: nn.Module, features: Tensor) -> Tensor:
    return directions(head(features.to(_weight(head).dtype)))
