"""CPF: Yang, Liu, Shi, Extract the Knowledge of Graph Neural Networks and Go Beyond it.

WWW 2021, https://arxiv.org/abs/2103.02885.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import dropout, one_hot

from gkd import create
from gkd.errors import DataError, validated
from gkd.functional.attention import neighbour_attention
from gkd.functional.network_input import graph_over, require_features

Probability = Annotated[float, Field(ge=0, lt=1)]
_LEAST = 1e-6  # added to probabilities, so that what a label rules out has a logarithm


class CPF(nn.Module):
    r"""Label propagation and a perceptron on the features, mixed at each node as it learns.

    A student for knowledge distillation that predicts by what is simple. Known labels are passed on
    along the edges, by weights that follow from a confidence c of each node; with f_MLP the
    softmax of a perceptron's outputs:

    .. math:: f^{k+1}(v) = \alpha_v \sum_{u \in N(v) \cup \{v\}} w_{vu} f^k(u)
        + (1 - \alpha_v) f_{MLP}(x_v), \qquad
        w_{vu} = \operatorname*{softmax}_u c_u, \quad c_u = z \cdot x_u

    It begins with the labels of the nodes that have them, which stay throughout, and with equal
    probabilities elsewhere. The logits are :math:`\log (f^K + 10^{-6})`.

    Labels are inputs here: it is trained on the nodes without one, to say what the teacher says,
    by a term such as ``{ loss = "kd", rows = "~train_mask", params = { temperature = 1.0 } }`` and
    a ``task_weight`` of 0. Labels of other nodes than those in ``train_mask`` are never looked at.

    Args:
        in_channels: width of the features.
        out_channels: number of classes.
        num_nodes: N, for an α of each node, which are known by their ``n_id``; None for one α of
            all, which also serves graphs of nodes that were not trained on.
        steps: K.
        hidden_channels: width of the perceptron's hidden layers.
        num_layers: of the perceptron; 1 is a linear map.
        dropout: probability of dropping an input feature in training.
        edge_dropout: probability of dropping an edge's weight in training.
        variant: ``"paper"``, the equations above; ``"official-code"``, where the perceptron's
            outputs are mixed as they are, each mixture goes through a ReLU, and the last is the
            logits.

    Shapes:
        ``x [N, in_channels]``, ``edge_index [2, E]``, ``y`` int64 ``[N]`` and ``train_mask`` bool
        ``[N]``, without which no label is known; logits ``[N, out_channels]``.

    Raises:
        ParameterError: an argument out of its range; from ``forward``, features or edges that do
            not fit.
        DataError: from ``forward``, labels or names of nodes that do not fit.

    Source:
        The paper's student, inductive, and the authors' code (BUPT-GAMMA/CPF), with 10 steps, a
        linear map, dropouts of up to 0.8 and the Euclidean distance to the teacher's
        probabilities, of all nodes as one vector. Confidences as free numbers of each node (their
        transductive form) are left out.

    Example:
        >>> network = CPF(in_channels=3, out_channels=2, steps=1)
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> labels, mask = torch.tensor([1, 0]), torch.tensor([True, False])
        >>> network(torch.ones(2, 3), edges, labels, mask).shape
        torch.Size([2, 2])
    """

    inputs = ("x", "edge_index", "y", "train_mask", "n_id")
    example_parameters = (
        {"hidden_channels": 8},
        {"steps": 2, "variant": "official-code", "dropout": 0.5, "edge_dropout": 0.5},
    )

    @validated
    def __init__(
        self,
        in_channels: PositiveInt,
        out_channels: PositiveInt,
        *,
        num_nodes: PositiveInt | None = None,
        steps: PositiveInt = 10,
        hidden_channels: PositiveInt = 64,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
        edge_dropout: Probability = 0.0,
        variant: Literal["paper", "official-code"] = "paper",
    ) -> None:
        super().__init__()
        self.steps, self.dropout, self.edge_dropout = steps, dropout, edge_dropout
        self.in_channels, self.out_channels = in_channels, out_channels
        self.num_nodes, self.variant = num_nodes, variant
        # The share of propagation, through a sigmoid: half at first.
        self.share = nn.Parameter(torch.zeros(num_nodes or 1))
        self.confidence = nn.Linear(in_channels, 1, bias=False)
        self.mlp = create(
            "model",
            "mlp",
            in_channels=in_channels,
            out_channels=out_channels,
            hidden_channels=hidden_channels,
            num_layers=num_layers,
            dropout=dropout,
        )

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        y: Tensor | None = None,
        train_mask: Tensor | None = None,
        n_id: Tensor | None = None,
    ) -> Tensor:
        """Return the logits, ``[N, out_channels]``."""
        require_features(self, x, self.in_channels)
        graph = graph_over(x, edge_index).with_self_loops()
        share = self._shares(x.shape[0], n_id).sigmoid()[:, None]
        own = self.mlp(dropout(x, self.dropout, self.training))
        score = self.confidence(dropout(x, self.dropout, self.training))
        own, score = (z.to(torch.promote_types(z.dtype, torch.float32)) for z in (own, score))
        if self.variant == "paper":
            own = own.softmax(dim=1)
        labels, known = self._labels(own, y, train_mask)
        mixed = torch.where(known, labels, 1 / self.out_channels)
        keep = None
        for _ in range(self.steps):
            if self.edge_dropout:
                keep = dropout(score.new_ones(graph.num_edges, 1), self.edge_dropout, self.training)
            passed = neighbour_attention(
                mixed[:, None], score, torch.zeros_like(score), graph, 1.0, keep
            )[:, 0]
            mixed = share * passed + (1 - share) * own
            mixed = torch.where(known, labels, mixed if self.variant == "paper" else mixed.relu())
        return (mixed + _LEAST).log() if self.variant == "paper" else mixed

    def _shares(self, count: int, names: Tensor | None) -> Tensor:
        """Return what α follows from, ``[N]``."""
        if self.num_nodes is None:
            return self.share.expand(count)
        if names is None:
            if count != self.num_nodes:
                raise DataError(
                    f"cpf: made for {self.num_nodes} nodes, got {count}, and no n_id that says "
                    "which of them these are"
                )
            return self.share
        if len(names) and int(names.max()) >= self.num_nodes:
            raise DataError(
                f"cpf: made for {self.num_nodes} nodes, but n_id names {int(names.max())}; "
                "num_nodes counts all that are ever seen, or is left out"
            )
        return self.share[names]

    def _labels(
        self, own: Tensor, y: Tensor | None, train_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the known labels as probabilities ``[N, C]``, and which are known ``[N, 1]``."""
        if y is None or train_mask is None:
            return torch.zeros_like(own), own.new_zeros(own.shape[0], 1, dtype=torch.bool)
        if y.shape != own.shape[:1] or y.is_floating_point() or train_mask.shape != y.shape:
            raise DataError(
                f"cpf: expected a class number and a train_mask for each of {own.shape[0]} nodes, "
                f"got labels {y.dtype} {list(y.shape)} and a mask {list(train_mask.shape)}"
            )
        known = train_mask.bool() & (y >= 0) & (y < self.out_channels)
        labels = one_hot(torch.where(known, y, 0), self.out_channels).to(own.dtype)
        return labels, known[:, None]
