"""How much faster DGCNN is than its textbook formulation with the same weights.

The textbook builds ``[x_j - x_i, x_i]`` for every edge, multiplies, normalises and takes the
maximum, as a 1x1 convolution over ``[B, 2C, N, K]``. Measures a training step (forward, backward,
all gradients) and inference on random clouds, neighbours included, both in one process and
alternating. Then, on the same neighbours, how far both are from float64: a gradient jumps where
rounding decides which of two neighbours has the maximum. Run
``python benchmarks/dgcnn.py [--network student]``.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gkd import Graph
from gkd_dgcnn import DGCNN

NETWORKS = {
    "teacher": {"k": 20},
    "student": {"channels": (32, 32, 64), "embedding": 128, "head": (256,), "k": 10},
}
CLASSES = 40
WARM_UP = 1
ERROR_POINTS = 256  # of each cloud: float64 is slow

Forward = Callable[[], Tensor]


class Given(nn.Module):
    """A graph that is known, in the place of a builder."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, features: Tensor, batch: Tensor) -> Graph:
        """Return the graph."""
        return self.graph


def textbook(network: DGCNN, clouds: Tensor, k: int, known: list[Tensor] | None) -> Tensor:
    """Logits of ``clouds [B, N, 3]`` with the parameters of ``network``."""
    features, outputs = clouds.transpose(1, 2), []
    for index, layer in enumerate(network.layers):
        neighbours = nearest(features, k) if known is None else known[index]
        edges = edge_features(features, neighbours)
        mapped = functional.conv2d(edges, layer.linear.weight[:, :, None, None])
        features = functional.leaky_relu(batch_norm(mapped, layer.norm), 0.2).amax(-1)
        outputs.append(features)
    linear, norm, _ = network.embedding
    mapped = functional.conv1d(torch.cat(outputs, 1), linear.weight[:, :, None])
    points = functional.leaky_relu(batch_norm(mapped, norm), 0.2)
    return network.head(torch.cat([points.amax(2), points.mean(2)], 1))


def nearest(features: Tensor, k: int) -> Tensor:
    """Numbers of the k nearest points, ``[B, N, k]``, for ``features [B, C, N]``."""
    norms = features.square().sum(1, keepdim=True)
    negative = 2 * features.transpose(1, 2) @ features - norms - norms.transpose(1, 2)
    return negative.detach().topk(k).indices


def edge_features(features: Tensor, neighbours: Tensor) -> Tensor:
    """``[x_j - x_i, x_i]``, ``[B, 2C, N, K]``."""
    batch, points, k = neighbours.shape
    rows = features.transpose(1, 2).reshape(batch * points, -1)
    first = torch.arange(batch)[:, None, None] * points
    source = rows[(neighbours + first).flatten()].view(batch, points, k, -1)
    target = rows.view(batch, points, 1, -1).expand_as(source)
    return torch.cat([source - target, target], 3).permute(0, 3, 1, 2).contiguous()


def batch_norm(values: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    return functional.batch_norm(
        values, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training
    )


def training_step(network: nn.Module, forward: Forward, labels: Tensor) -> Tensor:
    """Return all gradients as one vector."""
    network.train()
    loss = functional.cross_entropy(forward(), labels)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def inference(network: nn.Module, forward: Forward, labels: Tensor) -> Tensor:
    """Return the logits."""
    network.eval()
    with torch.inference_mode():
        return forward().clone()


def build(name: str, dtype: torch.dtype) -> DGCNN:
    """Draw the network anew from the same seed."""
    torch.manual_seed(0)
    return DGCNN(3, CLASSES, **NETWORKS[name], dropout=0.0).to(dtype)


def candidates(
    name: str, clouds: Tensor, known: list[Tensor] | None = None
) -> tuple[DGCNN, dict[str, Forward]]:
    """Return the network and both ways to its logits, on ``[B, N, k]`` neighbours if known."""
    network = build(name, clouds.dtype)
    batch_size, points, _ = clouds.shape
    if known is not None:
        first = torch.arange(batch_size)[:, None, None] * points
        graphs = [Graph.from_neighbours((each + first).flatten(0, 1)) for each in known]
        network.graphs = nn.ModuleList(map(Given, graphs))
    batch = torch.arange(batch_size).repeat_interleave(points)
    return network, {
        "textbook": lambda: textbook(network, clouds, NETWORKS[name]["k"], known),
        "gkd": lambda: network(clouds.flatten(0, 1), batch),
    }


def relative_errors(name: str, task: Callable[..., Tensor], clouds: Tensor) -> dict[str, float]:
    """Error of both in norm, against float64."""
    labels = torch.randint(CLASSES, (len(clouds),))
    neighbours = nearest(clouds.transpose(1, 2), NETWORKS[name]["k"])
    known = [neighbours] * len(build(name, clouds.dtype).layers)
    network, forwards = candidates(name, clouds.double(), known)
    exact = task(network, forwards["textbook"], labels)
    errors = {}
    for candidate in forwards:
        network, forwards = candidates(name, clouds, known)
        error = task(network, forwards[candidate], labels).double() - exact
        errors[candidate] = float(error.norm() / exact.norm())
    return errors


def measure(name: str, task: Callable[..., Tensor], clouds: Tensor, repeats: int) -> None:
    labels = torch.randint(CLASSES, (len(clouds),))
    network, forwards = candidates(name, clouds)
    seconds: dict[str, list[float]] = {candidate: [] for candidate in forwards}
    for _ in range(repeats + WARM_UP):
        for candidate, forward in forwards.items():  # both see the same machine
            start = time.perf_counter()
            task(network, forward, labels)
            seconds[candidate].append(time.perf_counter() - start)
    errors = relative_errors(name, task, clouds[:, :ERROR_POINTS])
    print(f"\n{name}, {task.__name__.replace('_', ' ')}")
    theirs = seconds["textbook"][WARM_UP:]
    for candidate, taken in seconds.items():
        ours = taken[WARM_UP:]
        ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
        low, median, high = (np.quantile(ratios, q) for q in (0.1, 0.5, 0.9))
        print(
            f"{candidate:10} {1e3 * statistics.median(ours):8.1f} ms   {median:5.1f}x "
            f"({low:.1f} to {high:.1f})   error {errors[candidate]:.1e}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=NETWORKS, nargs="+", default=list(NETWORKS))
    parser.add_argument("--clouds", type=int, default=8)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    clouds = functional.normalize(torch.randn(arguments.clouds, arguments.points, 3), dim=2)
    print(
        f"{arguments.clouds} clouds of {arguments.points} points, {torch.get_num_threads()} "
        f"threads, torch {torch.__version__}, float32"
    )
    print("ratios: median (10 % to 90 % quantile); error: relative one in norm, against float64")
    for name in arguments.network:
        for task in (training_step, inference):
            measure(name, task, clouds, arguments.repeats)


if __name__ == "__main__":
    main()
