"""How much faster the local structure preserving loss is than its textbook formulation.

Measures forward + backward on the sizes of two PPI training graphs, and how far both are from
float64. Run ``OMP_NUM_THREADS=2 python benchmarks/lsp.py [--edge-index FILE.npy]``.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import gkd

NUM_NODES, NUM_EDGES, STUDENT_WIDTH, TEACHER_WIDTH = 4744, 132_114, 136, 1024


def textbook_loss(student: Tensor, teacher: Tensor, edge_index: Tensor) -> Tensor:
    """Equations 3 to 6 (RBF, σ = 1) as one would write them down: features gathered per edge."""
    source, target = edge_index

    def log_structure(features: Tensor) -> Tensor:
        distance = (features[target] - features[source]).square().sum(dim=1)
        similarity = (-distance / 2).exp()
        zeros = similarity.new_zeros(len(features))
        largest = zeros.scatter_reduce(0, target, similarity.detach(), "amax", include_self=False)
        shifted = similarity - largest[target]
        return shifted - zeros.scatter_add(0, target, shifted.exp())[target].log()

    log_p, log_q = log_structure(student), log_structure(teacher.detach())
    return (log_p.exp() * (log_p - log_q)).sum() / len(student)


def random_edges() -> Tensor:
    """Undirected, in no particular order; as many edges as two PPI graphs have."""
    half = torch.randint(NUM_NODES, (2, NUM_EDGES // 2))
    edges = torch.cat([half, half.flip(0)], dim=1).unique(dim=1)
    return edges[:, torch.randperm(edges.shape[1])]


def step(loss: Callable[[Tensor], Tensor], student: Tensor) -> tuple[float, Tensor, float]:
    """Value, gradient and seconds of one forward and backward pass."""
    leaf = student.clone().requires_grad_()
    start = time.perf_counter()
    value = loss(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.item(), gradient, time.perf_counter() - start


def relative_error(result: Tensor, exact: Tensor) -> float:
    return float((result.double() - exact).norm() / exact.norm())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge-index", type=Path, help="int64 [2, E] in a .npy file")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    path = arguments.edge_index
    edges = torch.from_numpy(np.load(path)) if path else random_edges()
    num_nodes = int(edges.max()) + 1
    # The squared distances are about 2, so that σ = 1 resolves them.
    student = torch.randn(num_nodes, STUDENT_WIDTH) / STUDENT_WIDTH**0.5
    teacher = torch.randn(num_nodes, TEACHER_WIDTH) / TEACHER_WIDTH**0.5

    graph, loss = gkd.Graph(edges, num_nodes), gkd.create("loss", "lsp", kernel="rbf", sigma=1.0)
    view = gkd.View(features=teacher, graph=graph)
    target = loss.target(view)
    candidates: dict[str, Callable[[Tensor], Tensor]] = {
        "textbook": lambda z: textbook_loss(z, teacher, edges),
        "gkd": lambda z: loss(gkd.View(features=z, graph=graph), view),
        "gkd, teacher cached": lambda z: loss(gkd.View(features=z, graph=graph), target),
    }
    _, exact, _ = step(lambda z: textbook_loss(z, teacher.double(), edges), student.double())
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(arguments.repeats + 2):
        for name, candidate in candidates.items():  # interleaved: all see the same machine
            taken = step(candidate, student)[2]
            if repeat >= 2:
                seconds[name].append(taken)
    print(f"{graph}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, candidate in candidates.items():
        ratios = [a / b for a, b in zip(seconds["textbook"], seconds[name], strict=True)]
        low, median, high = (np.quantile(ratios, q) for q in (0.1, 0.5, 0.9))
        error = relative_error(step(candidate, student)[1], exact)
        print(
            f"{name:20} {1e3 * statistics.median(seconds[name]):8.2f} ms   "
            f"{median:6.1f}x ({low:.1f} to {high:.1f})   gradient error {error:.1e}"
        )


if __name__ == "__main__":
    main()
