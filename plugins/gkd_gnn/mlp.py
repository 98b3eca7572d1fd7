"""The multi-layer perceptron, which sees no edges: GLNN's student."""

from pydantic import PositiveInt
from torch import Tensor, nn

from gkd.errors import validated
from gkd_gnn.layer_stack import Activation, Depth, JumpingKnowledge, LayerStack, Norm, Probability
from gkd_gnn.pooling import Pool


class MLP(LayerStack):
    r"""Multi-layer perceptron on the features of every node.

    .. math:: h^{l+1} = W_l\, \mathrm{dropout}(\sigma(\mathrm{norm}_{l-1}(h^l))) + b_l

    ``layers[l]`` outputs ``h^{l+1}``, before normalisation and activation: the tap ``layers.0`` is
    the first layer's output. With equal parameters it equals torch_geometric's ``MLP``.

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

    Raises:
        ParameterError: an argument out of its range; from ``forward``, features that do not fit.

    Source:
        As a student of graph networks: Zhang et al., Graph-less Neural Networks, ICLR 2022.

    >>> student = MLP(in_channels=1433, out_channels=7)
    >>> sum(parameter.numel() for parameter in student.parameters())
    184455
    """

    inputs = ("x",)
    example_parameters = (
        {"hidden_channels": 8},
        {"hidden_channels": 8, "norm": "batch", "pool": "max", "jumping_knowledge": "cat"},
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
    ) -> None:
        super().__init__(
            lambda inputs, outputs: nn.Linear(inputs, outputs, bias=bias),
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

    def forward(self, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """Return the logits of ``x [N, in_channels]``, ``[N, out_channels]``.

        With a pool they are ``[B, out_channels]``, for the graphs that ``batch [N]`` names.
        """
        self.check_features(x)
        return self.run(x, (), batch)
