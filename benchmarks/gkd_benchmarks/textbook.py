"""What gkd is compared with, as one would write it down: features gathered for every edge."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import cosine_similarity

from gkd import Graph
from gkd_dgcnn.dgcnn import DGCNN
from gkd_dgcnn.edge_conv_layer import EdgeConv

Similarity = Callable[[Tensor, Tensor], Tensor]

SIMILARITIES: Mapping[str, Similarity] = {
    "linear": lambda a, b: (a * b).sum(dim=1),
    "poly": lambda a, b: (a * b).sum(dim=1) ** 2,
    "l2": lambda a, b: (a - b).square().sum(dim=1),
    "rbf": lambda a, b: (-(a - b).square().sum(dim=1) / 2).exp(),
    "cosine": cosine_similarity,
    "laplacian": lambda a, b: (-(a - b).abs().sum(dim=1) / 100).exp(),
}


def textbook_loss(
    student: Tensor, teacher: Tensor, edges: Tensor, similarity: Similarity
) -> Tensor:
    """Equations 3 to 6 of CVPR 2020, for edges each of which occurs once."""
    log_p = _log_structure(student, edges, similarity)
    log_q = _log_structure(teacher, edges, similarity)
    return (log_p.exp() * (log_p - log_q)).sum() / len(student)


def _log_structure(features: Tensor, edges: Tensor, similarity: Similarity) -> Tensor:
    source, target = edges
    logits = similarity(features[target], features[source]).to(features.dtype)
    zeros = logits.new_zeros(len(features))
    largest = zeros.scatter_reduce(0, target, logits.detach(), "amax", include_self=False)
    shifted = logits - largest[target]
    return shifted - zeros.scatter_add(0, target, shifted.exp())[target].log()


def sampled_loss(
    student: Tensor, teacher: Tensor, graph: Graph, softmax: Callable[..., Tensor]
) -> Tensor:
    """Equations 3 to 6 of CVPR 2020 with the RBF kernel, without a row for every edge.

    Args:
        student: features.
        teacher: features.
        graph: whose edges are sorted by target.
        softmax: torch_geometric's, over the rows of a pointer.
    """
    structures = []
    for features in (student, teacher):
        norms = features.square().sum(dim=1)
        pattern = torch.sparse_csr_tensor(
            graph.row_pointer,
            graph.source,
            norms.new_zeros(graph.num_edges),
            (len(norms),) * 2,
            check_invariants=False,
        )
        dots = torch.sparse.sampled_addmm(pattern, features, features.t()).values()
        squares = norms[graph.target] + norms[graph.source] - 2 * dots
        structures.append(softmax((-squares / 2).exp(), ptr=graph.row_pointer).log())
    log_p, log_q = structures
    return (log_p.exp() * (log_p - log_q)).sum() / len(student)


def nearest(features: Tensor, k: int) -> Tensor:
    """Numbers of the k nearest points of each cloud's points, ``[B, N, k]``.

    Args:
        features: ``[B, C, N]``.
        k: how many, the point itself among them.
    """
    norms = features.square().sum(1, keepdim=True)
    negative = 2 * features.transpose(1, 2) @ features - norms - norms.transpose(1, 2)
    return negative.detach().topk(k).indices


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
