"""GraphSAGE with the mean of the neighbours."""

from pydantic import PositiveInt
from torch import Tensor

from gkd.errors import validated
from gkd.functional.edge_products import working_dtype
from gkd_gnn.edge_weights import mean_weights
from gkd_gnn.layer_stack import Activation, Depth, JumpingKnowledge, LayerStack, Norm, Probability
from gkd_gnn.pooling import Pool
from gkd_gnn.sage_layer import SAGELayer


class SAGE(LayerStack):
    r"""GraphSAGE: linear maps of every node and of the mean of its neighbours.

    .. math::
        h_i^{l+1} = W_l \operatorname*{mean}_{j \in N(i)} \tilde h_j^l + R_l \tilde h_i^l + b_l,
        \qquad \tilde h^l = \mathrm{dropout}(\sigma(\mathrm{norm}_{l-1}(h^l)))

    ``layers[l]`` outputs ``h^{l+1}``, before normalisation and activation: the tap ``layers.0`` is
    the first layer's output. The mean of no neighbours is 0.

    Edges run from row 0 (source) to row 1 (target) of ``edge_index``, as in PyTorch Geometric.
    With equal parameters, layers equal its ``SAGEConv`` and the stack its ``GraphSAGE``, except
    that a repeated edge is one edge here and counts twice there, and that ``norm="layer"`` is over
    each node alone. DGL's aggregator ``gcn``, GLNN's teacher, is ``root_weight=False,
    self_loops=True``.

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
        self_loops: let every node be one of its neighbours.
        root_weight: learn the map R of the node itself.
        normalise: scale every layer's output to length 1.

    Raises:
        ParameterError: an argument out of its range; from ``forward``, features or edges that do
            not fit.

    Source:
        Hamilton et al., Inductive Representation Learning on Large Graphs, NeurIPS 2017, algorithm
        1.

    >>> import torch
    >>> network = SAGE(in_channels=3, out_channels=2, hidden_channels=4)
    >>> network(torch.ones(5, 3), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([5, 2])
    """

    inputs = ("x", "edge_index")
    example_parameters = (
        {"hidden_channels": 8},
        {"hidden_channels": 8, "norm": "layer", "residual": True, "normalise": True},
        {"hidden_channels": 8, "pool": "mean", "root_weight": False, "self_loops": True},
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
        self_loops: bool = False,
        root_weight: bool = True,
        normalise: bool = False,
    ) -> None:
        super().__init__(
            lambda inputs, outputs: SAGELayer(
                inputs, outputs, root_weight=root_weight, normalise=normalise, bias=bias
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
        self.self_loops = self_loops

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """Return the logits of ``x [N, in_channels]``, ``[N, out_channels]``.

        With a pool they are ``[B, out_channels]``, for the graphs that ``batch [N]`` names.
        """
        graph = self.graph_of(edge_index, x)
        if self.self_loops:
            graph = graph.with_self_loops()
        return self.run(x, (graph, mean_weights(graph, working_dtype(x))), batch)
