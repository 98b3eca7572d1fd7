"""The graph attention network of the distillation literature's teachers and students."""

from typing import Annotated

from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from gkd import ParameterError
from gkd.errors import validated
from gkd.functional.memory import require_memory_for_layers
from gkd.functional.network_input import graph_over, require_features
from gkd_gat.gat_layer import GATLayer

Probability = Annotated[float, Field(ge=0, lt=1)]


class GAT(nn.Module):
    r"""Graph attention network: layers of multi-head attention with ELU in between.

    .. math:: h^{l+1} = \mathrm{layer}_l(\mathrm{ELU}(h^l)), \qquad h^1 = \mathrm{layer}_0(x)

    Hidden layers concatenate their heads, the last one averages them; every layer after the
    first adds a linear projection of its input. ``layers[l]`` outputs ``h^{l+1}``, before the
    activation: the tap ``layers.1`` is the second layer's output.

    Edges run from row 0 (source) to row 1 (target) of ``edge_index``, as in PyTorch Geometric,
    and a node attends over its sources. With equal parameters, layers equal its ``GATConv``
    except that a repeated edge is one edge here and counts twice there.

    Args:
        in_channels: width of the input features.
        out_channels: number of outputs for each node.
        hidden_channels: width of each head of the hidden layers; one number for each.
        heads: number of heads of every layer, the last included.
        negative_slope: of LeakyReLU in the attention scores.
        dropout: probability of dropping an input feature of a layer in training.
        attention_dropout: probability of dropping an attention weight in training.
        self_loops: let every node attend over itself, as in the paper.
        residual: add the linear projections.
        bias: learn an additive vector for every layer. The published parameter counts have none.

    Raises:
        ParameterError: lengths that do not match; from ``forward``, features or edges that do not
            fit.

    Source:
        Veličković et al., Graph Attention Networks, ICLR 2018. The defaults are the teacher of
        Yang et al., Distilling Knowledge from Graph Convolutional Networks, CVPR 2020, table 1;
        their student is ``hidden_channels=(68, 68, 68, 68), heads=(2, 2, 2, 2, 2)``.

    >>> import torch
    >>> teacher = GAT(in_channels=50, out_channels=121)
    >>> sum(parameter.numel() for parameter in teacher.parameters())
    3640748
    >>> student = GAT(3, 2, hidden_channels=(4,), heads=(2, 2))
    >>> student(torch.ones(5, 3), torch.tensor([[0, 1], [1, 2]])).shape
    torch.Size([5, 2])
    """

    example_parameters = ({"hidden_channels": (8,), "heads": (2, 2)},)

    @validated
    def __init__(
        self,
        in_channels: PositiveInt,
        out_channels: PositiveInt,
        hidden_channels: tuple[PositiveInt, ...] = (256, 256),
        heads: tuple[PositiveInt, ...] = (4, 4, 6),
        *,
        negative_slope: Annotated[FiniteFloat, Field(ge=0)] = 0.2,
        dropout: Probability = 0.0,
        attention_dropout: Probability = 0.0,
        self_loops: bool = True,
        residual: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if len(heads) != len(hidden_channels) + 1:
            raise ParameterError(
                "GAT needs one number of heads for each hidden layer and one for the last: got "
                f"{len(hidden_channels)} hidden_channels {hidden_channels} and {len(heads)} heads "
                f"{heads}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.dropout, self.self_loops = dropout, self_loops
        outputs = [*hidden_channels, out_channels]
        inputs = [in_channels, *(c * h for c, h in zip(hidden_channels, heads, strict=False))]
        last = len(heads) - 1
        require_memory_for_layers(
            "GAT", [(i, o * h) for i, o, h in zip(inputs, outputs, heads, strict=True)]
        )
        self.layers = nn.ModuleList(
            GATLayer(
                inputs[index],
                outputs[index],
                heads[index],
                concat=index < last,
                negative_slope=negative_slope,
                attention_dropout=attention_dropout,
                residual=residual and index > 0,
                bias=bias,
            )
            for index in range(len(heads))
        )

    def architecture(self) -> dict[str, int | list[int]]:
        """Return what tables say of the network, counted from its layers.

        >>> GAT(3, 2, hidden_channels=(4,), heads=(2, 1)).architecture()
        {'layers': 2, 'attention heads': [2, 1], 'hidden features': [4, 2]}
        """
        layers = [module for module in self.layers if isinstance(module, GATLayer)]
        return {
            "layers": len(layers),
            "attention heads": [layer.heads for layer in layers],
            "hidden features": [layer.out_channels for layer in layers],
        }

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        for module in self.modules():
            if isinstance(module, GATLayer):
                module.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return the logits, ``[N, out_channels]``, of ``x [N, in_channels]`` on the edges."""
        require_features(self, x, self.in_channels)
        graph = graph_over(x, edge_index)
        if self.self_loops:
            graph = graph.with_self_loops()
        # The activation opens the next layer in place of closing this one, so that a tap on a layer
        # sees what the publications compare: outputs before the activation.
        for index, layer in enumerate(self.layers):
            x = x if index == 0 else functional.elu(x)
            x = layer(functional.dropout(x, self.dropout, self.training), graph)
        return x
