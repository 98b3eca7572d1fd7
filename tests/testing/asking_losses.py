"""Losses that ask for more than two views, and keep every law."""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, one_hot

from gkd import AbstractLoss, Step, View


def single(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def logits(view: View, loss: str) -> Tensor:
    return single(view.require_logits(loss))


class OtherClasses(AbstractLoss):
    """Divergence over the classes that are not the label's; a value per row."""

    uses = ("logits",)
    per_row = True

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        labels = step.require_labels("other-classes")
        ours, theirs = logits(student, "other-classes"), logits(teacher, "other-classes").detach()
        right = one_hot(labels.where(step.labelled, theirs.argmax(1)), ours.shape[1])
        ours, theirs = (log_softmax(z - 1000.0 * right, dim=1) for z in (ours, theirs))
        divergence = (theirs.exp() * (theirs - ours)).sum(1)
        return divergence + (divergence.clamp_min(0) - divergence).detach()


class Flow(AbstractLoss):
    """Squared difference of the products of successive layers."""

    uses = ("features", "layers")
    different_widths = False
    samples_apart = False

    def forward(self, student: View, teacher: View) -> Tensor:
        return (self.flow(student) - self.flow(teacher).detach()).square().mean()

    def flow(self, view: View) -> Tensor:
        layers = [single(layer) for layer in view.require_layers("flow")]
        with torch.autocast(layers[0].device.type, enabled=False):
            products = [one.T @ next / len(one) for one, next in pairwise(layers)]
        return torch.cat([product.flatten() for product in products])


class ToTheMean(AbstractLoss):
    """Squared distance to the mean of all teachers' logits, a value per row."""

    uses = ("logits",)
    per_row = True

    def forward(self, student: View, teacher: View, *, teachers: dict[str, View]) -> Tensor:
        theirs = [logits(view, "to-the-mean").detach() for view in teachers.values()]
        gap = logits(student, "to-the-mean") - torch.stack(theirs).mean(0)
        return gap.square().mean(1)


class Noisy(AbstractLoss):
    """Distance to what the teacher says of inputs with some noise."""

    uses = ("logits",)
    zero_at_equality = False

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        x = step.batch.x
        noise = torch.randn(x.shape, generator=step.generator, dtype=x.dtype, device=x.device)
        theirs = step.logits("teacher", x=x + 0.1 * noise).detach()
        gap = logits(student, "noisy") - single(theirs)
        # It reads the teacher's view, too, so that a forgotten one is named.
        return gap.square().mean() + 0 * logits(teacher, "noisy").detach().sum()


class Bank(AbstractLoss):
    """Distance to a moving average of each node's logits at the teacher, and the label's part."""

    uses = ("logits",)
    zero_at_equality = False

    def __init__(self, nodes: int = 2048, classes: int = 16) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(nodes, classes))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        ours, theirs = logits(student, "bank"), logits(teacher, "bank").detach()
        classes = ours.shape[1]
        kept = self.memory[step.nodes, :classes].to(ours.dtype)
        with torch.no_grad():
            self.memory[step.nodes, :classes] = (kept + theirs).div(2).to(self.memory.dtype)
            self.seen += 1
        value = (ours - kept).square().mean()
        labelled = step.labelled
        if step.labels is None or not labelled.any():
            return value
        return value + 0.1 * cross_entropy(ours[labelled], step.labels[labelled])


GOOD = [OtherClasses, Flow, ToTheMean, Noisy, Bank]
