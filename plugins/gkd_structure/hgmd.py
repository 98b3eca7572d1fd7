"""HGMD, hardness-aware distillation, of Wu, Liu, Lin, Huang, Li.

Teach Harder, Learn Poorer: Rethinking Hard Sample Distillation for GNN-to-MLP Knowledge
Distillation, CIKM 2024, https://arxiv.org/abs/2407.14768.
"""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, FiniteFloat, NonNegativeInt
from torch import Tensor
from torch.nn.functional import log_softmax

from gkd import AbstractLoss, Graph, Paper, Step, Task, View
from gkd.errors import validated
from gkd.functional.draws import mixed_names, uniform_draws
from gkd.functional.edge_products import neighbour_sum
from gkd.functional.logit_divergences import categorical_divergence
from gkd.functional.neighbour_divergence import neighbour_divergence
from gkd.functional.paired_rows import at_least_zero, mean_over_pairs
from gkd.functional.segments import segment_sum
from gkd.functional.similarities import EdgePairs
from gkd_structure.edge_logits import EdgeLogits

Positive = Annotated[FiniteFloat, Field(gt=0)]

_LEAST = 1e-8  # entropy, as in the authors' code
_GATHERED = 2**18  # numbers at a time


class HGMD(AbstractLoss):
    r"""Divergence from the teacher's predictions of neighbours, of more of them for harder nodes.

    A node is hard where teacher and student are unsure of it. With H the entropy of a prediction
    relative to the largest of all nodes, a neighbour j joins the pairs of node i with probability

    .. math:: p_{ij} = 1 - \exp\!\left( -\alpha_e \cos(p^t_i, p^t_j)
        \frac{\sqrt{H^t_i H^s_i}}{H^t_j} \right), \qquad
        \alpha_e = \alpha \cdot 100^{-e / (\text{epochs} - 1)}

    drawn anew in every step of epoch e: R(i). With itself, node i has :math:`n_i` pairs; all nodes
    have P. With predictions softened by τ, the loss is

    .. math:: \frac{1}{P} \sum_i \sum_{j \in \{i\} \cup R(i)}
        c_{ij}\, \mathrm{KL}(q_{ij} \,\|\, p^s_i)

    * ``"mixup"``: :math:`q_{ij} = (1 - w) p^t_i + w\, p^t_j` with :math:`w = p_{ij} b`, b drawn
      from Beta(β, β), and :math:`c = 1`;
    * ``"weight"``: :math:`q_{ij} = p^t_j`, and :math:`c_{ij}` is the share of
      :math:`\cos(p^t_i, p^t_j)\, p_{ij}` in its sum over the pairs of i, times :math:`n_i`;
    * ``"plain"``: :math:`q_{ij} = p^t_j` and :math:`c = 1`.

    A node's own pair has :math:`p_{ii} = 1`. Before ``warmup`` all neighbours are taken, with
    :math:`p_{ij} = 1`. The value of a node is its part of the sum times N / P, so that their mean
    is the loss; of a sampled batch these are the seeds and their pairs. Memory is O(E + N·C).

    Args:
        scheme: what the pairs teach.
        alpha: α.
        beta: β of the mixup.
        temperature: τ, in units of the logits.
        epochs: over which α falls to a hundredth.
        warmup: epochs in which all neighbours are taken.
        task: says what the outputs mean; a distiller fills in its own.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``, a graph over the N nodes; ``[N]``
        results, whose mean is the loss.

    Raises:
        ParameterError: outputs of the task are no classes; in the call, views without logits or
            graph, shapes that do not fit, or a batch that names neither nodes nor samples.

    When:
        The student sees no edges, as an MLP, and KD leaves nodes behind of which the teacher is
        unsure: these learn from more neighbours.

    Source:
        HGMD-mixup and HGMD-weight, as in the authors' code (LirongWu/HGMD): β from 0.25 to 0.5, α
        from 1 to 10, τ about 1 without a factor τ², and 500 epochs, of which the first has all
        neighbours. The student's entropy is that of a pass without dropout there, and of the
        training pass here.

    Example:
        >>> graph = Graph(torch.tensor([[1], [0]]), 2)
        >>> student = View(logits=torch.tensor([[0.0, 0.0], [0.0, 0.0]]), graph=graph)
        >>> teacher = View(logits=torch.tensor([[0.0, 0.0], [2.0, 0.0]]), graph=graph)
        >>> step = Step.of(student, nodes=torch.arange(2))
        >>> HGMD(scheme="plain")(student, teacher, step=step)
        tensor([0.2185, 0.2185])
    """

    uses = ("logits", "graph")
    zero_at_equality = False  # a node differs from its neighbours
    least_at_equality = False
    samples_apart = False  # how sure a node is, is beside the surest of the batch
    fades_with_temperature = True
    exact_gradient = False  # the student's entropy decides what is drawn, and how it weighs
    per_row = True
    paper = Paper(
        "Wu, Liu, Lin, Huang, Li",
        "Teach Harder, Learn Poorer: Rethinking Hard Sample Distillation for GNN-to-MLP "
        "Knowledge Distillation",
        "CIKM",
        2024,
        "https://arxiv.org/abs/2407.14768",
    )
    likelihoods = ("softmax",)
    parity = ("LirongWu/HGMD",)

    @validated
    def __init__(
        self,
        scheme: Literal["mixup", "weight", "plain"] = "mixup",
        alpha: Positive = 5.0,
        beta: Positive = 0.3,
        temperature: Positive = 1.0,
        epochs: Annotated[int, Field(ge=2)] = 500,
        warmup: NonNegativeInt = 1,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.scheme, self.alpha, self.beta = scheme, alpha, beta
        self.temperature, self.epochs, self.warmup = temperature, epochs, warmup
        self.edge_logits = EdgeLogits("hgmd", task)

    def forward(
        self, student: View, teacher: View, *, step: Step, rows: Tensor | None = None
    ) -> Tensor:
        """Return the value of each node, ``[N]``."""
        ours, theirs, graph = self.edge_logits.of(student, teacher)
        keys, device = step.require_keys("hgmd"), step.generator.device
        seed = int(torch.randint(2**62, (1,), generator=step.generator, device=device))
        # The mean is over the pairs of all seeds, whichever of their rows are asked for.
        part = graph.in_edges(step.seeds)
        source, target = part.graph.edge_index
        drawn = (source != target).to(ours.dtype)
        likely = torch.ones_like(drawn)
        if step.epoch >= self.warmup:
            likely = self._likely(ours.detach(), theirs, graph, step.epoch, step.seeds)
            names = part.of_nodes(keys)
            draws = uniform_draws(mixed_names(names[target], names[source]), 1, seed)
            drawn = drawn * (draws[:, 0] < likely)
        pairs = part.to_all(1 + segment_sum(drawn, part.graph.row_pointer))
        weights = drawn * likely
        if self.scheme == "mixup":
            shares = np.random.default_rng(seed).beta(self.beta, self.beta, graph.num_edges)
            weights = weights * part.of_edges(torch.from_numpy(shares).to(drawn))
        if step.seeds is None:
            part = graph.in_edges(rows)
            drawn, weights = part.of_edges(drawn), part.of_edges(weights)
        s, t = (part.of_nodes(z) / self.temperature for z in (ours, theirs))
        if self.scheme == "mixup":
            value = _mixed_divergence(s, t, drawn, weights, part.graph)
        else:
            own = s.new_ones(len(s))
            if self.scheme == "weight":
                likely = part.of_nodes(theirs).softmax(dim=1)
                near = EdgePairs(likely, part.graph).cosine().to(drawn) * weights
                total = 1 + segment_sum(near, part.graph.row_pointer)
                own = part.of_nodes(pairs) / total
                drawn = near * own[part.graph.target]
            value = neighbour_divergence(s, t, drawn, part.graph)
            value = value + own * categorical_divergence(s, t)
        return mean_over_pairs(part.to_all(value), pairs, step.seeds)

    def _likely(
        self,
        student: Tensor,
        teacher: Tensor,
        graph: Graph,
        epoch: int,
        seeds: Tensor | None = None,
    ) -> Tensor:
        """Probability that an edge is drawn, of the edges into seeds, ``[E']``."""
        part = graph.in_edges(seeds)
        source, target = part.graph.edge_index
        alpha = self.alpha * 100 ** -min(epoch / (self.epochs - 1), 1)
        # In units of the largest entropy of all nodes.
        ours, theirs = (part.of_nodes(_relative_entropy(z)) for z in (student, teacher))
        hardness = (theirs * ours).sqrt()[target] / theirs[source]
        near = EdgePairs(part.of_nodes(teacher).softmax(dim=1), part.graph).cosine().to(student)
        return -torch.expm1(-alpha * near * hardness)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"scheme={self.scheme}, alpha={self.alpha}, beta={self.beta}, "
            f"temperature={self.temperature}, epochs={self.epochs}, warmup={self.warmup}"
        )


def _relative_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax in units of the largest, ``[N]``, above 0."""
    log_likely = log_softmax(logits, dim=1)
    entropy = -(log_likely.exp() * log_likely).sum(dim=1)
    largest = entropy.max() if len(entropy) else entropy.new_ones(())
    relative = entropy / torch.where(largest > 0, largest, 1)
    return torch.where(relative > 0, relative, _LEAST)


def _mixed_divergence(
    student: Tensor, teacher: Tensor, drawn: Tensor, weights: Tensor, graph: Graph
) -> Tensor:
    """Sum of KL((1 - w) t_i + w t_j ‖ s_i) over the drawn edges, and KL(t_i ‖ s_i), ``[N]``."""
    likely = teacher.softmax(dim=1)
    # What is mixed is summed over the pairs of a node; of each pair only the entropy is needed.
    kept = 1 + segment_sum(drawn - weights, graph.row_pointer)
    sums = kept[:, None] * likely + neighbour_sum(weights, likely, graph)
    value = -(sums * log_softmax(student, dim=1)).sum(dim=1)
    size = max(1, _GATHERED // likely.shape[1])
    parts = zip(*(torch.split(z, size) for z in (graph.target, graph.source, weights)), strict=True)
    certain = [_negative_entropy(torch.lerp(likely[i], likely[j], w[:, None])) for i, j, w in parts]
    between = segment_sum(torch.cat(certain) * drawn, graph.row_pointer)
    return at_least_zero(value + _negative_entropy(likely) + between)


def _negative_entropy(likely: Tensor) -> Tensor:
    negative: Tensor = torch.special.xlogy(likely, likely).sum(dim=1)
    return negative
