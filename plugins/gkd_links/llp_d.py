"""LLP by distributions: Guo, Shiao, Zhang, Liu, Chawla, Shah, Zhao.

Linkless Link Prediction via Relational Distillation, ICML 2023, https://arxiv.org/abs/2210.05801.
"""

from typing import Annotated

from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import validated
from gkd.functional.logit_divergences import categorical_divergence
from gkd_links.contexts import Contexts, Distant, Hops, ScoredBy, Walks


class LLPD(AbstractLoss):
    r"""Divergence of how a node's link scores are spread over its context from the teacher's.

    The context C(i) of a node has the nodes that short random walks from it come by, and as many
    drawn from anywhere in the same graph, anew in every step. A score is the probability of a link,
    :math:`y_{ij} = \sigma(z_i \cdot z_j)`, of the student's features, and of the teacher's:

    .. math:: \tau^2 \frac{1}{N} \sum_i \mathrm{KL}(p^t_i \,\|\, p^s_i), \qquad
        p_{i} = \operatorname*{softmax}_{j \in C(i)} y_{ij} / \tau

    Features are embeddings whose products score links, as in the task ``link-prediction``: taps of
    the last layers. Their widths may differ. No features are gathered for pairs. Networks with a
    head that scores pairs run once more, on those of the contexts; the taps then say which nodes
    there are.

    Args:
        walks: walks from each node.
        hops: length of a walk, each step of which gives a node.
        distant: nodes from anywhere for each that walks give.
        scores: ``"embeddings"``, the products of features; ``"network"``, what each network says of
            the pairs, given as ``edge_label_index``, by a head of its own.
        temperature: τ, in units of the scores, which lie between 0 and 1.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``, a graph over the N nodes;
        ``[N]`` results, whose mean is the loss.

    Raises:
        ParameterError: in the call, views without features or graph, or with different nodes.

    Source:
        The paper's distribution-based matching, with the contexts of the authors' code
        (snap-research/linkless-link-prediction): 3 walks of 2 hops, 1 distant node for each, τ = 1.
        Its networks score a pair by a perceptron on the product of the two embeddings: a head, with
        ``scores="network"``.

    When:
        A student without a graph that predicts links, together with ``llp-r`` and the labels' loss.

    Example:
        >>> import torch
        >>> from gkd import Graph
        >>> graph = Graph(torch.tensor([[1, 0, 2, 1], [0, 1, 1, 2]]), 3)
        >>> student = View(features=torch.eye(3), graph=graph)
        >>> teacher = View(features=2 * torch.eye(3), graph=graph)
        >>> LLPD()(student, teacher, step=Step.of(student)).shape
        torch.Size([3])
    """

    paper = Paper(
        "Guo, Shiao, Zhang, Liu, Chawla, Shah, Zhao",
        "Linkless Link Prediction via Relational Distillation",
        "ICML",
        2023,
        "https://arxiv.org/abs/2210.05801",
    )
    parity = ("snap-research/linkless-link-prediction",)
    per_row = True

    @validated
    def __init__(
        self,
        walks: Walks = 3,
        hops: Hops = 2,
        distant: Distant = 1,
        scores: ScoredBy = "embeddings",
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__()
        self.contexts = Contexts("llp-d", walks, hops, distant, scores)
        self.temperature = temperature

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the value of each node, ``[N]``."""
        scores = self.contexts.scores(student, teacher, step)
        ours, theirs = (y / self.temperature for y in scores)
        return self.temperature**2 * categorical_divergence(ours, theirs)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"{self.contexts.describe()}, temperature={self.temperature}"
