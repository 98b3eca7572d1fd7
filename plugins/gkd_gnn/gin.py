"""The graph isomorphism network."""

from pydantic import FiniteFloat, PositiveInt
from torch import Tensor

from gkd.errors import validated
from gkd.functional.edge_products import working_dtype
from gkd_gnn.edge_weights import unit_weights
from gkd_gnn.gin_layer import GINLayer
from gkd_gnn.layer_stack import Activation, Depth, JumpingKnowledge, LayerStack, Norm, Probability
from gkd_gnn.pooling import Pool


class GIN(LayerStack):
    r"""Graph isomorphism network: a perceptron on the sum of every node and its neighbours.

    .. math::
        h_i^{l+1} = \mathrm{MLP}_l\Big((1 + \varepsilon_l) \tilde h_i^l +
        \sum_{j \in N(i)} \tilde h_j^l\Big), \qquad
        \tilde h^l = \mathrm{dropout}(\sigma(\mathrm{norm}_{l-1}(h^l)))

    Each perceptron has two linear maps, with normalisation and activation in between.
    ``layers[l]`` outputs ``h^{l+1}``, before normalisation and activation: the tap ``layers.0`` is
    the first layer's output. Whole graphs are told apart by ``pool="sum"``.

    Edges run from row 0 (source) to row 1 (target) of ``edge_index``, as in PyTorch Geometric.
    With equal parameters, layers equal its ``GINConv`` and the stack its ``GIN``, except that a
    repeated edge is one edge here and counts twice there, and that ``norm="layer"`` is over each
    node alone.

    Args:
        in_channels: width of the input features.
        out_channels: number of outputs for each node, or for each graph where nodes are pooled.
        hidden_channels: width of every hidden layer.
        num_layers: number of layers.
        dropout: probability of dropping a hidden feature in training.
        act: the activation σ.
        norm: behind every hidden layer, and inside every perceptron: ``batch`` over the nodes,
            ``layer`` over the features of each node.
        residual: every layer adds its input, by a linear map where the widths differ.
        jumping_knowledge: what a linear head sees: ``last``, the last layer; ``cat``, all of them
            side by side; ``max``, the largest of each feature. ``none``: the last layer gives the
            logits.
        pool: over the nodes of each graph, before a linear head.
        bias: learn an additive vector for every linear map.
        eps: ε of every layer, or what it begins with.
        train_eps: learn ε.

    Raises:
        ParameterError: an argument out of its range; from ``forward``, features or edges that do
            not fit.

    Source:
        Xu et al., How Powerful are Graph Neural Networks?, ICLR 2019, equation 4.1.

    >>> import torch
    >>> network = GIN(in_channels=3, out_channels=2, hidden_channels=4, pool="sum")
    >>> graphs = torch.tensor([0, 0, 0, 1, 1])
    >>> network(torch.ones(5, 3), torch.tensor([[0, 1], [1, 2]]), graphs).shape
    torch.Size([2, 2])
    """

    inputs = ("x", "edge_index")
    example_parameters = (
        {"hidden_channels": 8},
        {"hidden_channels": 8, "norm": "batch", "residual": True, "train_eps": True},
        {"hidden_channels": 8, "pool": "sum", "jumping_knowledge": "cat"},
    )

    @validated
    def __init__(
        self,
        in_channels: PositiveInt,
        out_channels: PositiveInt,
        *,
        hidden_channels: PositiveInt = 128,
        num_layers: Depth = 2,
        dropout: Probability = 0.0,
        act: Activation = "relu",
        norm: Norm = "none",
        residual: bool = False,
        jumping_knowledge: JumpingKnowledge = "none",
        pool: Pool = "none",
        bias: bool = True,
        eps: FiniteFloat = 0.0,
        train_eps: bool = False,
    ) -> None:
        super().__init__(
            lambda inputs, outputs: GINLayer(
                inputs, outputs, act=act, norm=norm, eps=eps, train_eps=train_eps, bias=bias
            ),
            in_channels,
            out_channels,
            hidden_channels=hidden_channels,
            num_layers=num_layers,
            dropout=dropout,
            act=act,
            norm=norm,
            residual=residual,
            jumping_knowledge=jumping_knowledge,
            pool=pool,
            bias=bias,
        )

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """Return the logits of ``x [N, in_channels]``, ``[N, out_channels]``.

        With a pool they are ``[B, out_channels]``, for the graphs that ``batch [N]`` names.
        """
        graph = self.graph_of(edge_index, x)
        return self.run(x, (graph, unit_weights(graph, working_dtype(x))), batch)
