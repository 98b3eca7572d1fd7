"""What a loss declares of its gradient frees it from no more than that."""

import torch
from torch import Tensor

import gkd
from gkd import testing


class Weighed(gkd.AbstractLoss):
    """Distance of features, each row weighted by the student's confidence, a constant to it."""

    uses = ("logits", "features")
    different_widths = False

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        theirs = teacher.require_features("weighed").detach()
        gap = student.require_features("weighed").float() - theirs.float()
        sure = student.require_logits("weighed").detach().float().softmax(1).amax(1, keepdim=True)
        return (sure * gap).square().sum() / max(len(gap), 1)


class Declared(Weighed):
    """Says so."""

    without_gradient = ("logits",)
    exact_gradient = False


class Deaf(Declared):
    """Sends nothing to the features either."""

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        features = student.require_features("deaf")
        return super().forward(student, teacher).detach() + 0 * features.detach().sum()


class Half(gkd.AbstractLoss):
    """Squared distance of logits, half of whose gradient is missing."""

    uses = ("logits",)

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        ours = student.require_logits("half")
        ours = ours.to(torch.promote_types(ours.dtype, torch.float32))
        gap = ours - teacher.require_logits("half").detach()
        return (gap * gap.detach()).sum() / max(len(gap), 1)


class Said(Half):
    """Says so."""

    exact_gradient = False


REACHES = {"gradient-reaches-the-student", "gradient-step-lowers-the-loss"}


def failed(loss: type[gkd.AbstractLoss], examples: int = 3) -> set[str]:
    report = testing.check("loss", loss, examples=examples)
    return {result.law for result in report.failures}


def test_what_is_only_looked_at_must_be_declared() -> None:
    assert failed(Weighed) >= REACHES
    assert not failed(Declared)


def test_the_rest_must_get_its_gradient() -> None:
    assert failed(Deaf) >= REACHES


def test_a_gradient_that_is_no_slope_is_found_unless_declared() -> None:
    assert failed(Half, examples=10) == {"gradcheck-in-float64"}
    assert not failed(Said)
