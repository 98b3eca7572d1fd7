"""The dynamic graph CNN that classifies point clouds, or their points."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

import gkd
from gkd import Graph, ParameterError
from gkd.eager import eagerly, exported_as
from gkd.errors import DataError, validated
from gkd.functional.memory import require_memory_for_layers
from gkd.functional.network_input import require_features
from gkd.functional.portable import pool_rows, require_one_sample
from gkd_dgcnn.edge_conv_layer import EdgeConv


class NearestNeighbours(nn.Module):
    """The graph of each point's k nearest in feature space, as a module so that it can be tapped.

    Args:
        k: number of neighbours, the point itself among them.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        self.builder = gkd.create("graph", "knn", k=k)

    @eagerly
    def forward(self, features: Tensor, batch: Tensor | None) -> Graph:
        """Return the graph of ``features [N, C]``, without edges between clouds."""
        # Detached: who is near whom is a choice, which has no gradient.
        graph: Graph = self.builder(features.detach(), batch)
        return graph

    def extra_repr(self) -> str:
        """Print k."""
        return f"k={self.k}"


class DGCNN(nn.Module):
    r"""Dynamic graph CNN: edge convolutions, each on the nearest neighbours in its own input.

    .. math::
        h^{l+1} = \mathrm{layer}_l(h^l, \mathrm{kNN}(h^l)), \quad h^0 = \mathrm{pos}, \qquad
        \mathrm{logits} = \mathrm{head}(\mathrm{pool}(\mathrm{embedding}([h^1, \dots, h^L])))

    The embedding is a linear map of every point with batch normalisation and LeakyReLU, the pool
    the maximum and the mean over each cloud, the head linear layers with batch normalisation,
    LeakyReLU and dropout in between. Where every point is classified (``per_point``), the head sees
    of each what its cloud was pooled to, beside :math:`[h^1, \dots, h^L]`. Taps: ``layers.l`` for
    ``h^{l+1}``, ``graphs.l`` for the graph that layer l runs on, ``embedding`` for the points' last
    features.

    Args:
        in_channels: width of the input, 3 for coordinates.
        out_channels: number of classes.
        channels: width of each edge convolution.
        embedding: width of the embedding.
        head: widths of the hidden layers after pooling.
        k: number of neighbours, the point itself among them.
        dropout: probability of dropping a feature after each hidden layer of the head.
        per_point: classify every point, as in segmentation, in place of every cloud.

    Raises:
        ParameterError: from ``forward``, inputs that do not fit, or a single cloud in training.
        DataError: from ``forward``, a cloud without points.

    Source:
        Wang et al., Dynamic Graph CNN for Learning on Point Clouds, TOG 2019; biases as in their
        code. The defaults are the teacher of Yang et al., Distilling Knowledge from Graph
        Convolutional Networks, CVPR 2020, table 3. Its student and the students of its table 6:

        ============= =================== ========= ========== ==========
        student       channels            embedding head       parameters
        ============= =================== ========= ========== ==========
        table 3       32, 32, 64          128       256        99,560
        more MLPs     32, 32, 64          128       512, 256   297,448
        more layers   32, 32, 64, 160     128       256        140,840
        more channels 96, 96, 192         416       256        441,000
        ============= =================== ========= ========== ==========

        all with ``k=10``. The paper prints no widths for the last two: these are the multiples of
        32 nearest to its 0.14M (one layer added) and 0.44M (every layer widened).

    >>> teacher = DGCNN(in_channels=3, out_channels=40)
    >>> sum(parameter.numel() for parameter in teacher.parameters())
    1809576
    >>> student = DGCNN(3, 40, channels=(32, 32, 64), embedding=128, head=(256,), k=10)
    >>> sum(parameter.numel() for parameter in student.parameters())
    99560
    >>> student(torch.rand(60, 3), torch.arange(2).repeat_interleave(30)).shape
    torch.Size([2, 40])
    """

    example_parameters = (
        {"channels": (8, 8), "embedding": 16, "head": (8,), "k": 4},
        {"channels": (8, 8), "embedding": 16, "head": (8,), "k": 4, "per_point": True},
    )
    linear_work = False  # neighbours are looked for among all points

    @validated
    def __init__(
        self,
        in_channels: PositiveInt,
        out_channels: PositiveInt,
        channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 64, 128, 256),
        embedding: PositiveInt = 1024,
        head: tuple[PositiveInt, ...] = (512, 256),
        k: PositiveInt = 20,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        per_point: bool = False,
    ) -> None:
        super().__init__()
        self.per_point = per_point
        self.in_channels, self.out_channels = in_channels, out_channels
        widths = [2 * embedding + (sum(channels) if per_point else 0), *head]
        layers = [*pairwise((in_channels, *channels)), (sum(channels), embedding)]
        require_memory_for_layers("DGCNN", [*layers, *pairwise((*widths, out_channels))])
        self.graphs = nn.ModuleList(NearestNeighbours(k) for _ in channels)
        self.layers = nn.ModuleList(EdgeConv(*pair) for pair in pairwise((in_channels, *channels)))
        self.embedding = nn.Sequential(*_normalised_linear(sum(channels), embedding))
        hidden: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            # A bias before batch normalisation does nothing, but the published counts include it in
            # every hidden layer but the first.
            hidden += [*_normalised_linear(inputs, outputs, bias=index > 0), nn.Dropout(dropout)]
        self.head = nn.Sequential(*hidden, nn.Linear(widths[-1], out_channels))

    def architecture(self) -> dict[str, int | list[int]]:
        """Return what tables say of the network, counted from its layers, the embedding the last.

        >>> DGCNN(3, 2, channels=(4, 8), embedding=16, head=(6,), k=5).architecture()
        {'layers': 3, 'feature map': [4, 8, 16], 'MLPs': [6], 'K': 5}
        """
        convolutions = [layer.linear for layer in self.layers if isinstance(layer, EdgeConv)]
        shared = [one for one in self.embedding if isinstance(one, nn.Linear)]
        widths = [one.out_features for one in self.head if isinstance(one, nn.Linear)]
        (k,) = {graph.k for graph in self.graphs if isinstance(graph, NearestNeighbours)}
        return {
            "layers": len(convolutions) + len(shared),
            "feature map": [one.out_features for one in (*convolutions, *shared)],
            "MLPs": widths[:-1],  # the last gives the classes
            "K": k,
        }

    def reset_parameters(self) -> None:
        """Draw all parameters anew and forget the running statistics."""
        for module in self.modules():
            if isinstance(module, EdgeConv | nn.Linear | nn.BatchNorm1d):
                module.reset_parameters()

    def forward(self, pos: Tensor, batch: Tensor | None = None) -> Tensor:
        """Return the logits of every cloud ``[B, out_channels]``, or point ``[N, out_channels]``.

        Args:
            pos: ``[N, in_channels]``, the points of all clouds.
            batch: number of each point's cloud, int64 ``[N]``, ascending from 0; None where all
                points are one cloud.
        """
        require_features(self, pos, self.in_channels, "pos")
        bounds = _bounds(batch, pos.shape[0])
        # torch would complain of one value per channel, somewhere in the head.
        single = len(bounds) == 2 and not self.per_point
        if self.training and single and len(self.head) > 1:
            raise ParameterError(
                "DGCNN needs at least two clouds in a batch in training: its batch normalisation "
                "after pooling has one value for each cloud"
            )
        features, outputs = pos, []
        # Neighbours are nearest in the layer's own input: that is what makes the graph dynamic.
        for graph, layer in zip(self.graphs, self.layers, strict=True):
            features = layer(features, graph(features, batch))
            outputs.append(features)
        joined = torch.cat(outputs, dim=1)
        pooled = cloud_pool(self.embedding(joined), bounds)
        if self.per_point:
            sizes = torch.tensor(bounds, device=pos.device).diff()
            pooled = torch.cat([pooled.repeat_interleave(sizes, dim=0), joined], dim=1)
        logits: Tensor = self.head(pooled)
        return logits


def _exported_pool(features: Tensor, bounds: Sequence[int]) -> Tensor:
    """Return :func:`cloud_pool` of one cloud."""
    return torch.cat([pool_rows(features, "max"), pool_rows(features, "mean")], dim=1)


@exported_as(_exported_pool)
def cloud_pool(features: Tensor, bounds: Sequence[int]) -> Tensor:
    r"""Maximum and mean of every channel over each cloud, side by side.

    .. math:: y_b = \Big[\max_{i \in b} x_i,\; \tfrac{1}{n_b} \sum_{i \in b} x_i\Big]

    Args:
        features: ``x``, ``[N, C]``, the points of a cloud in consecutive rows.
        bounds: where each cloud begins, and N: B + 1 ascending numbers, no two of them equal.

    Returns:
        ``[B, 2C]``. The gradient of a maximum goes to one point that attains it.

    >>> cloud_pool(torch.tensor([[1.0], [3.0], [5.0]]), [0, 2, 3])
    tensor([[3., 2.],
            [5., 5.]])
    """
    result: Tensor = _CloudPool.apply(features, tuple(bounds))  # type: ignore[no-untyped-call]
    return result


class _CloudPool(torch.autograd.Function):
    # One gradient of the features' size in the backward pass, where autograd would make three.

    @staticmethod
    def forward(ctx: Any, features: Tensor, bounds: tuple[int, ...]) -> Tensor:
        # Clouds lie side by side, so that each is a view: a scatter over a batch vector would write
        # to B rows from N, in turn.
        clouds = [features[start:end] for start, end in pairwise(bounds)]
        means = torch.stack([cloud.mean(0) for cloud in clouds])
        if not ctx.needs_input_grad[0]:  # which point it was costs more to find than the maximum
            return torch.cat([torch.stack([cloud.amax(0) for cloud in clouds]), means], 1)
        largest, places = zip(*(cloud.max(0) for cloud in clouds), strict=True)
        ctx.save_for_backward(torch.stack(places))
        ctx.bounds = bounds
        return torch.cat([torch.stack(largest), means], 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        of_largest, of_means = grad.chunk(2, dim=1)
        result = grad.new_empty(ctx.bounds[-1], of_means.shape[1])
        for index, (start, end) in enumerate(pairwise(ctx.bounds)):
            cloud = result[start:end]
            cloud.copy_(of_means[index] / len(cloud))
            cloud.scatter_add_(0, places[index : index + 1], of_largest[index : index + 1])
        return result, None


def _normalised_linear(inputs: int, outputs: int, bias: bool = False) -> list[nn.Module]:
    return [
        nn.Linear(inputs, outputs, bias=bias),
        nn.BatchNorm1d(outputs),
        nn.LeakyReLU(0.2, inplace=True),
    ]


def _exported_bounds(batch: Tensor | None, num_points: int) -> list[int]:
    require_one_sample(batch, "DGCNN")
    return [0, num_points]


@exported_as(_exported_bounds)
@eagerly
def _bounds(batch: Tensor | None, num_points: int) -> list[int]:
    if num_points == 0:
        raise DataError("DGCNN got no points")
    if batch is None:
        return [0, num_points]
    if batch.shape != (num_points,) or batch.dtype != torch.int64:
        raise ParameterError(
            f"DGCNN needs batch as int64 [{num_points}], one number for each point of pos, got "
            f"{batch.dtype} {list(batch.shape)}"
        )
    if bool((batch.diff() < 0).any()) or int(batch[0]) < 0:
        raise ParameterError("DGCNN needs batch ascending from 0: sort the points by cloud")
    sizes = torch.bincount(batch)
    if int(sizes.min()) == 0:
        raise DataError(f"cloud {int(sizes.argmin())} of the batch has no points")
    return [0, *sizes.cumsum(0).tolist()]
