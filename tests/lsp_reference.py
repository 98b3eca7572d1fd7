"""Equations 3 to 8 in float64, loops over nodes and neighbours; shares no code with gkd."""

from collections.abc import Callable

import torch
from torch import Tensor

Similarity = Callable[[Tensor, Tensor], Tensor]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    if not a.any() or not b.any():
        return (a * b).sum()
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum().sqrt() if (a != b).any() else (a - b).sum()


SIMILARITIES: dict[str, Similarity] = {
    "linear": lambda a, b: (a * b).sum(),
    "poly": lambda a, b: (a * b).sum() ** 2,
    "l2": lambda a, b: (a - b).square().sum(),
    "l2 unsquared": distance,
    "rbf": lambda a, b: torch.exp(-(a - b).square().sum() / 2),
    "cosine": cosine,
    "cosine squared": lambda a, b: cosine(a, b) ** 2,
    "laplacian": lambda a, b: torch.exp(-(a - b).abs().sum() / 100),
}

KERNEL_PARAMETERS: dict[str, dict[str, object]] = {
    "linear": {"kernel": "linear"},
    "poly": {"kernel": "poly"},
    "l2": {"kernel": "l2"},
    "l2 unsquared": {"kernel": "l2", "squared": False},
    "rbf": {"kernel": "rbf", "sigma": 1.0},
    "cosine": {"kernel": "cosine"},
    "cosine squared": {"kernel": "cosine", "power": 2},
    "laplacian": {"kernel": "laplacian"},
}


def neighbours(edge_index: Tensor, num_nodes: int) -> list[list[int]]:
    """Sources of each node's in-edges, each once."""
    found: list[set[int]] = [set() for _ in range(num_nodes)]
    for source, target in edge_index.t().tolist():
        found[target].add(source)
    return [sorted(sources) for sources in found]


def log_structure(features: Tensor, node: int, sources: list[int], sim: Similarity) -> Tensor:
    logits = torch.stack([sim(features[node], features[source]) for source in sources])
    return logits - torch.logsumexp(logits, dim=0)


def lsp(
    student: Tensor,
    teacher: Tensor,
    edge_index: Tensor,
    similarity: Similarity,
    teacher_first: bool = False,
    over_edges: bool = False,
) -> Tensor:
    """The loss in float64; all features ``[N, F]``."""
    student, teacher = student.double(), teacher.detach().double()
    total = student.sum() * 0
    structure = neighbours(edge_index, len(student))
    for node, sources in enumerate(structure):
        if sources:
            log_p = log_structure(student, node, sources, similarity)
            log_q = log_structure(teacher, node, sources, similarity)
            if teacher_first:
                log_p, log_q = log_q, log_p
            total = total + (log_p.exp() * (log_p - log_q)).sum()
    count = sum(map(len, structure)) if over_edges else len(student)
    return total / max(count, 1)
