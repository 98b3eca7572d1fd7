"""Edge convolution and DGCNN as one would write them down: edge features materialised."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gkd_benchmarks.textbook_knn import nearest
from gkd_dgcnn import DGCNN, EdgeConv


def textbook_logits(
    network: DGCNN, clouds: Tensor, k: int, known: list[Tensor] | None = None
) -> Tensor:
    """Logits of ``clouds [B, N, 3]`` with the parameters of ``network``.

    Args:
        network: whose weights to use; its own forward pass is not.
        clouds: ``[B, N, 3]``.
        k: number of neighbours.
        known: neighbours of each layer, ``[B, N, k]``; None to find them.
    """
    features, outputs = clouds.transpose(1, 2), []
    for index, layer in enumerate(network.layers):
        assert isinstance(layer, EdgeConv)
        neighbours = nearest(features, k) if known is None else known[index]
        edges = edge_features(features, neighbours)
        mapped = functional.conv2d(edges, layer.linear.weight[:, :, None, None])
        features = functional.leaky_relu(_batch_norm(mapped, layer.norm), 0.2).amax(-1)
        outputs.append(features)
    linear, norm, _ = network.embedding
    assert isinstance(linear, nn.Linear)
    mapped = functional.conv1d(torch.cat(outputs, 1), linear.weight[:, :, None])
    points = functional.leaky_relu(_batch_norm(mapped, norm), 0.2)
    logits: Tensor = network.head(torch.cat([points.amax(2), points.mean(2)], 1))
    return logits


def edge_features(features: Tensor, neighbours: Tensor) -> Tensor:
    """``[x_j - x_i, x_i]``, ``[B, 2C, N, k]``, for ``features [B, C, N]``."""
    batch, points, k = neighbours.shape
    rows = features.transpose(1, 2).reshape(batch * points, -1)
    first = torch.arange(batch, device=rows.device)[:, None, None] * points
    source = rows[(neighbours + first).flatten()].view(batch, points, k, -1)
    target = rows.view(batch, points, 1, -1).expand_as(source)
    return torch.cat([source - target, target], 3).permute(0, 3, 1, 2).contiguous()


def _batch_norm(values: Tensor, norm: nn.Module) -> Tensor:
    assert isinstance(norm, nn.BatchNorm1d)
    return functional.batch_norm(
        values, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training
    )
