"""The graph convolutional network."""

from pydantic import PositiveInt
from torch import Tensor

from gkd.errors import validated
from gkd.functional.edge_products import working_dtype
from gkd_gnn.edge_weights import normalise_symmetrically, symmetric_weights, weights_in_order
from gkd_gnn.gcn_layer import GCNLayer
from gkd_gnn.layer_stack import Activation, Depth, JumpingKnowledge, LayerStack, Norm, Probability
from gkd_gnn.pooling import Pool


class GCN(LayerStack):
    r"""Graph convolutional network: sums over neighbours, normalised by the degrees of both ends.

    .. math::
        h_i^{l+1} = \sum_{j \in N(i) \cup \{i\}} \frac{w_{ij}}{\sqrt{d_i d_j}} W_l
        \tilde h_j^l + b_l, \qquad d_i = \sum_{j \in N(i) \cup \{i\}} w_{ij}, \qquad
        \tilde h^l = \mathrm{dropout}(\sigma(\mathrm{norm}_{l-1}(h^l)))

    ``layers[l]`` outputs ``h^{l+1}``, before normalisation and activation: the tap ``layers.0`` is
    the first layer's output. The degrees are found once per graph, and kept with it.

    Edges run from row 0 (source) to row 1 (target) of ``edge_index``, as in PyTorch Geometric.
    With equal parameters, layers equal its ``GCNConv`` and the stack its ``GCN``, except that a
    repeated edge is one edge here and counts twice there, and that ``norm="layer"`` is over each
    node alone.

    Args:
        in_channels: width of the input features.
        out_channels: number of outputs for each node, or for each graph where nodes are pooled.
        hidden_channels: width of every hidden layer.
        num_layers: number of layers.
        dropout: probability of dropping a hidden feature in training.
        act: the activation σ.
        norm: behind every hidden layer: ``batch`` over the nodes, ``layer`` over the features of
            each node.
        residual: every layer adds its input, by a linear map where the widths differ.
        jumping_knowledge: what a linear head sees: ``last``, the last layer; ``cat``, all of them
            side by side; ``max``, the largest of each feature. ``none``: the last layer gives the
            logits.
        pool: over the nodes of each graph, before a linear head.
        bias: learn an additive vector for every layer.
        self_loops: let every node be its own neighbour, as in the paper; with weight 1 where the
            edges have weights.

    Raises:
        ParameterError: an argument out of its range; from ``forward``, features, edges or weights
            that do not fit.
        DataError: from ``forward``, weights of which a node's sum is negative.

    Source:
        Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR
        2017, equation 2.

    >>> import torch
    >>> network = GCN(in_channels=3, out_channels=2, hidden_channels=4)
    >>> network(torch.ones(5, 3), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([5, 2])
    """

    inputs = ("x", "edge_index", "edge_weight")
    example_parameters = (
        {"hidden_channels": 8},
        {"hidden_channels": 8, "norm": "batch", "pool": "sum", "jumping_knowledge": "cat"},
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
        self_loops: bool = True,
    ) -> None:
        super().__init__(
            lambda inputs, outputs: GCNLayer(inputs, outputs, bias=bias),
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
        self.self_loops = self_loops

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of ``x [N, in_channels]``, ``[N, out_channels]``.

        With a pool they are ``[B, out_channels]``, for the graphs that ``batch [N]`` names.
        ``edge_weight [E]`` has a number for each column of ``edge_index``.
        """
        graph = self.graph_of(edge_index, x)
        if self.self_loops:
            graph = graph.with_self_loops()
        if edge_weight is None:
            weights = symmetric_weights(graph, working_dtype(x))
        else:
            edge_weight = edge_weight.to(working_dtype(edge_weight, x))
            weights = normalise_symmetrically(
                weights_in_order(edge_weight, edge_index, graph), graph
            )
        return self.run(x, (graph, weights), batch)
