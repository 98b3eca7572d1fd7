"""KRD: Wu, Lin, Huang, Li, Quantifying the Knowledge in GNNs for Reliable Distillation into MLPs.

ICML 2023, https://arxiv.org/abs/2306.05628.
"""

from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt
from torch import Tensor
from torch.nn.functional import log_softmax

from gkd import AbstractLoss, Graph, Paper, RowMemory, Step, Task, View, create
from gkd.errors import ParameterError, validated
from gkd.functional.draws import mixed_names, normal_draws, uniform_draws
from gkd.functional.logit_divergences import categorical_divergence
from gkd.functional.neighbour_divergence import neighbour_divergence
from gkd.functional.paired_rows import mean_over_pairs, paired_logits
from gkd.functional.processes import gather_rows
from gkd.functional.segments import segment_sum

Positive = Annotated[FiniteFloat, Field(gt=0)]


class KRD(AbstractLoss):
    r"""Divergence of a node's prediction from the teacher's, of itself and of reliable neighbours.

    A node j is reliable where noise on the inputs hardly changes how sure the teacher is of it.
    With H the entropy of the teacher's prediction, and the largest change scaled to 1:

    .. math:: \delta_j \propto | H(f_t(x + \epsilon))_j - H(f_t(x))_j |, \quad
        \epsilon \sim \mathcal N(0, \sigma^2), \qquad p_j = 1 - \delta_j^{\,a}

    Of the neighbours N(i), each is drawn with its probability :math:`p_j`, anew in every step:
    :math:`R(i)`. The value is the mean over all P pairs of a node, of a sampled batch those of its
    seeds, with itself and with those drawn, returned by node:

    .. math:: \frac{1}{P} \sum_i \sum_{j \in \{i\} \cup R(i)}
        \mathrm{KL}(\mathrm{softmax}(t_j / \tau) \,\|\, \mathrm{softmax}(s_i / \tau))

    The power a follows the student: in bins of δ, the shares of nodes on which it predicts as the
    teacher does, from 0 in the worst bin to 1 in the best, are fitted by :math:`1 - \delta^a`, and
    a moves towards that. Before ``warmup`` all neighbours are taken.

    δ is measured once for each node, by a second pass of the teacher in the first step that has the
    node, and kept with a in buffers: checkpoints hold them. On sampled neighbourhoods it is that of
    their nodes, with the neighbours that they have there.

    Args:
        temperature: τ, in units of the logits.
        noise: σ, in units of the inputs.
        inputs: attribute of the batch that the noise is added to.
        warmup: epochs in which all neighbours are taken.
        power: a, in the beginning.
        momentum: how much of a stays in a step.
        bins: of δ.
        task: says what the outputs mean; a distiller fills in its own.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``, a graph over the N nodes; ``[N]``
        results, whose mean is the loss.

    Raises:
        ParameterError: outputs of the task are no classes; in the call, views without logits or
            graph, logits of different shapes, a batch that names neither nodes nor samples, or
            inputs that noise cannot be added to.

    Source:
        Section 4, as in the authors' code (LirongWu/KRD): σ = 1, 50 epochs, 50 bins whose place on
        the axis of δ is 0.05 after their beginning, bins without nodes counting as a share of 0,
        and no factor τ². One epoch is one step there, on the whole graph; agreement is that of a
        pass without dropout.

    When:
        A student without a graph, and a teacher whose soft labels are noisy at some nodes: where
        neighbours have one class, more targets for each node.

    Example:
        >>> graph = Graph(torch.tensor([[1], [0]]), 2)
        >>> student = View(logits=torch.tensor([[0.0, 0.0], [0.0, 0.0]]), graph=graph)
        >>> teacher = View(logits=torch.tensor([[0.0, 0.0], [2.0, 0.0]]), graph=graph)
        >>> def second_pass(network, /, x):
        ...     return teacher.logits + x
        >>> step = Step.of(
        ...     student, nodes=torch.arange(2), inputs={"x": torch.zeros(2, 2)}, logits=second_pass
        ... )
        >>> KRD()(student, teacher, step=step)
        tensor([0.2185, 0.2185])
    """

    uses = ("logits", "graph")
    paper = Paper(
        "Wu, Lin, Huang, Li",
        "Quantifying the Knowledge in GNNs for Reliable Distillation into MLPs",
        "ICML",
        2023,
        "https://arxiv.org/abs/2306.05628",
    )
    likelihoods = ("softmax",)
    parity = ("LirongWu/KRD",)
    zero_at_equality = False  # a node differs from its neighbours
    least_at_equality = False
    samples_apart = False  # how fast reliability falls is that of all edges
    fades_with_temperature = True
    per_row = True
    example_parameters: tuple[dict[str, Any], ...] = ({}, {"warmup": 0})
    exponent: Tensor

    @validated
    def __init__(
        self,
        temperature: Positive = 1.0,
        noise: Positive = 1.0,
        inputs: str = "x",
        warmup: NonNegativeInt = 50,
        power: Positive = 1.0,
        momentum: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.99,
        bins: PositiveInt = 50,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        likelihood = (task if isinstance(task, Task) else create("task", task)).likelihood
        if likelihood != "softmax":
            raise ParameterError(
                f"krd: outputs of this task are {likelihood}, but it compares classes of which one "
                "is right, as in 'single-label'"
            )
        self.temperature, self.noise, self.inputs = temperature, noise, inputs
        self.warmup, self.momentum, self.bins = warmup, momentum, bins
        # Of each node, whether the change of entropy was measured, and the change.
        self.changes = RowMemory(width=2)
        self.register_buffer("exponent", torch.tensor(power))

    def forward(
        self, student: View, teacher: View, *, step: Step, rows: Tensor | None = None
    ) -> Tensor:
        """Return the value of each node, ``[N]``."""
        ours, theirs = paired_logits(
            student.require_logits("krd"), teacher.require_logits("krd"), "krd"
        )
        graph = student.require_graph("krd")
        if graph.num_nodes != len(ours):
            raise ParameterError(f"krd: {graph!r} is not over the {len(ours)} rows of the logits")
        # The mean is over the pairs of all seeds, whichever of their rows are asked for.
        part = graph.in_edges(step.seeds)
        weights = (part.graph.source != part.graph.target).to(ours.dtype)
        delta = self._delta(theirs, step)
        if step.epoch >= self.warmup:
            if self.training and torch.is_grad_enabled():
                self._follow(delta, ours.argmax(dim=1) == theirs.argmax(dim=1))
            weights = weights * self._drawn(delta, graph, step)
        pairs = part.to_all(1 + segment_sum(weights, part.graph.row_pointer))
        if step.seeds is None:
            part = graph.in_edges(rows)
            weights = part.of_edges(weights)
        s, t = (part.of_nodes(z) / self.temperature for z in (ours, theirs))
        value = categorical_divergence(s, t) + neighbour_divergence(s, t, weights, part.graph)
        return mean_over_pairs(part.to_all(value), pairs, step.seeds)

    def _delta(self, teacher: Tensor, step: Step) -> Tensor:
        """Change of the entropy of each row, relative to the largest that is known, ``[N]``."""
        learns = self.training and torch.is_grad_enabled()
        memory = self.changes if learns else self.changes.copy()
        places = memory.places(step, "krd")
        unknown = memory.values[places, 0] == 0
        measured = memory.values.new_ones(int(unknown.sum()), 2)
        if len(measured):
            measured[:, 1] = self._change(teacher, step)[unknown]
        memory.write(places[unknown], measured)  # by all processes, whatever they measured
        changes = memory.values[:, 1]
        largest = changes.max() if len(changes) else changes.new_ones(())
        return changes[places] / torch.where(largest > 0, largest, 1)

    @torch.no_grad()
    def _change(self, teacher: Tensor, step: Step) -> Tensor:
        """How much noise on the inputs changes the entropy of each row, ``[N]``."""
        clean = getattr(step.batch, self.inputs, None)
        if not isinstance(clean, Tensor) or not clean.is_floating_point() or not clean.ndim:
            raise ParameterError(
                f"krd: noise is added to inputs={self.inputs!r}, but the batch's is no tensor of "
                f"floating point: {type(clean).__name__}"
            )
        keys = step.require_keys("krd")
        if len(clean) != len(keys):  # a row for each sample
            keys = torch.arange(len(clean), device=keys.device)
        draws = normal_draws(keys, clean[0].numel() if len(clean) else 0, _seed(step))
        noise = (self.noise * draws).to(clean).reshape(clean.shape)
        network = step.teachers[0] if step.teachers else "teacher"
        noisy = step.logits(network, **{self.inputs: clean + noise})
        if getattr(step.batch, "whole", None) is not None:
            # A part of a graph, where the teacher's answers may be those on all of it: to see fewer
            # neighbours is a change of its own.
            teacher = step.logits(network, **{self.inputs: clean})
        noisy, teacher = paired_logits(noisy, teacher, "krd")
        return (entropy(noisy) - entropy(teacher)).abs()

    def _drawn(self, delta: Tensor, graph: Graph, step: Step) -> Tensor:
        """1 for the edges into seeds from nodes that are drawn, 0 for others, ``[E]``."""
        part = graph.in_edges(step.seeds)
        source, target = part.graph.edge_index
        probability = 1 - part.of_nodes(delta).pow(self.exponent)
        keys = part.of_nodes(step.require_keys("krd"))
        draws = uniform_draws(mixed_names(keys[target], keys[source]), 1, _seed(step))[:, 0]
        return (draws < probability[source]).to(delta.dtype)

    def _follow(self, delta: Tensor, agrees: Tensor) -> None:
        """Move the exponent towards that of the student's agreement with the teacher."""
        delta, agrees = gather_rows(delta), gather_rows(agrees)
        shares = agreement(delta, agrees, self.bins)
        if shares is not None:
            old = float(self.exponent)
            new = fitted_exponent(shares, old)
            moved = self.momentum * old + (1 - self.momentum) * new
            self.exponent = torch.full_like(self.exponent, moved)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"temperature={self.temperature}, noise={self.noise}, warmup={self.warmup}, "
            f"momentum={self.momentum}, bins={self.bins}"
        )


class Shares(NamedTuple):
    """What an exponent is fitted to.

    Attributes:
        delta: place of each bin, float64 ``[bins]`` on the CPU, above 0.
        share: of the nodes in it that agree, scaled to between 0 and 1.
    """

    delta: Tensor
    share: Tensor


def agreement(delta: Tensor, agrees: Tensor, bins: int) -> Shares | None:
    """Return the share of agreement in each bin of δ; None where all bins have the same.

    Args:
        delta: ``[N]``, from 0 to 1.
        agrees: bool ``[N]``.
        bins: how many.
    """
    place = (delta.double() * bins).long().clamp_(0, bins - 1)
    counts = torch.bincount(place, minlength=bins).double().cpu()
    agreeing = torch.bincount(place[agrees], minlength=bins).double().cpu()
    share = agreeing / (counts + 1e-6)
    spread = share.max() - share.min()
    if not spread:
        return None
    begins = torch.arange(bins, dtype=torch.float64) / bins
    return Shares(begins + 0.05, (share - share.min()) / spread)


def fitted_exponent(shares: Shares, start: float) -> float:
    """Return a, at least 0, such that 1 − δ^a fits the shares best by squares, near ``start``."""
    delta, share = shares
    logs = delta.log()

    def errors(a: float) -> Tensor:
        return 1 - delta**a - share

    # Levenberg's and Marquardt's method, of one unknown.
    a, damping = start, 1e-3
    for _ in range(200):
        slope = -(delta**a) * logs
        gradient, curvature = float(slope @ errors(a)), float(slope @ slope)
        if not curvature:
            break
        change = -gradient / (curvature * (1 + damping))
        if errors(a + change).square().sum() > errors(a).square().sum():
            damping *= 10
            continue
        a, damping = a + change, damping / 10
        if abs(change) < 1e-10 * (1 + abs(a)):
            break
    return max(a, 0.0)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax, ``[N]``.

    >>> entropy(torch.zeros(1, 2))
    tensor([0.6931])
    """
    likely = log_softmax(logits, dim=1)
    return -(likely.exp() * likely).sum(dim=1)


def _seed(step: Step) -> int:
    device = step.generator.device
    return int(torch.randint(2**62, (1,), generator=step.generator, device=device))
