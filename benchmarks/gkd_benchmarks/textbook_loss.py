"""The local structure preserving loss as one would write it down: features gathered per edge."""

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn.functional import cosine_similarity

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
