"""How much faster the nearest neighbours of a batch of clouds are than by the two usual ways.

Peers: ``torch_cluster.knn`` (a k-d tree per cloud, one core) and ``torch.cdist`` with ``topk`` over
the whole batch. Each width is measured with all candidates in turn, so that they see the same
machine; a ratio is against the faster peer of the same turn. Degrees of agreement are counted
against float64. Run ``python benchmarks/knn.py [--clouds 32 --points 1024 --channels 3 64 128]``.

What bounds gkd's own search: for few channels, reading every distance twice (the minima of groups
of columns, and the comparison with the bound that they give) and finding the few that pass; from
about 64 channels on, the matrix product. A tree looks at few points where there are few channels,
but in a loop over points: it wins on large clouds only, and "auto" takes it there.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch_cluster
from torch import Tensor

import gkd

WARM_UP = 1
PEERS = ("torch_cluster", "cdist + topk")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def dense(features: Tensor, num_clouds: int, k: int) -> Tensor:
    """Neighbours from all distances of the batch at once, ``[N, k]`` within each cloud."""
    clouds = features.view(num_clouds, -1, features.shape[1])
    return torch.cdist(clouds, clouds).topk(k, largest=False).indices


def agreement(graph: gkd.Graph, features: Tensor, num_clouds: int, k: int) -> float:
    """Fraction of points whose neighbours are those of float64, for a few of the clouds."""
    clouds = features.double().view(num_clouds, -1, features.shape[1])
    found = graph.neighbours.view(num_clouds, -1, k)
    right = []
    for number in range(min(num_clouds, 4)):
        squares = (clouds[number][:, None] - clouds[number][None]).square().sum(dim=2)
        expected = squares.topk(k, largest=False).indices.sort(dim=1).values
        right.append((found[number] - number * len(squares) == expected).all(dim=1))
    return float(torch.cat(right).double().mean())


def candidates(batch: Tensor, num_clouds: int, k: int) -> dict[str, Callable[[Tensor], object]]:
    """Ways to find the neighbours, by name."""
    builders = {
        f"gkd, {backend}": gkd.create("graph", "knn", k=k, backend=backend)
        for backend in ("auto", "torch", "torch-cluster")
    }
    return {
        "torch_cluster": lambda x: torch_cluster.knn(x, x, k, batch, batch),
        "cdist + topk": lambda x: dense(x, num_clouds, k),
        **{name: lambda x, build=build: build(x, batch) for name, build in builders.items()},
    }


def measure(channels: int, arguments: argparse.Namespace) -> None:
    num_clouds, points, k = arguments.clouds, arguments.points, arguments.k
    torch.manual_seed(0)
    features = torch.randn(num_clouds * points, channels)
    batch = torch.arange(num_clouds).repeat_interleave(points)
    ways, clock = candidates(batch, num_clouds, k), CLOCKS[arguments.clock]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.repeats + WARM_UP):
        for name, way in ways.items():
            start = clock()
            way(features)
            seconds[name].append(clock() - start)
    timings = {name: taken[WARM_UP:] for name, taken in seconds.items()}
    best = min((timings[name] for name in PEERS), key=statistics.median)
    print(f"\n{channels} channels")
    for name, taken in timings.items():
        ratios = [a / b for a, b in zip(best, taken, strict=True)]
        low, median, high = (np.quantile(ratios, q) for q in (0.1, 0.5, 0.9))
        right = ""
        if name not in PEERS and points <= 2048:
            right = (
                f"   as in float64: {agreement(ways[name](features), features, num_clouds, k):.3%}"
            )
        print(
            f"{name:20} {1e3 * statistics.median(taken):8.1f} ms   "
            f"{median:5.2f}x ({low:.2f} to {high:.2f}){right}"
        )


def crossover(arguments: argparse.Namespace) -> None:
    """Time gkd's own search over that by trees, points that fill the space."""
    clock = CLOCKS[arguments.clock]
    total, sizes = 8192, (512, 1024, 2048, 4096, 8192)
    print("points    " + "".join(f"{size:8}" for size in sizes))
    for channels in arguments.channels:
        ratios = []
        for size in sizes:
            features = torch.randn(total, channels)
            batch = torch.arange(total // size).repeat_interleave(size)
            taken = {}
            for backend in ("torch", "torch-cluster"):
                build = gkd.create("graph", "knn", k=arguments.k, backend=backend)
                times = []
                for _ in range(arguments.repeats + WARM_UP):
                    start = clock()
                    build(features, batch)
                    times.append(clock() - start)
                taken[backend] = min(times)
            ratios.append(taken["torch"] / taken["torch-cluster"])
        print(f"{channels:2} channels" + "".join(f"{ratio:7.2f}x" for ratio in ratios))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clouds", type=int, default=32)
    parser.add_argument("--points", type=int, default=1024, help="of each cloud")
    parser.add_argument("--channels", type=int, nargs="+", default=[3, 64, 128])
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: of all threads, for a busy machine"
    )
    parser.add_argument(
        "--crossover", action="store_true", help="gkd's own search over trees, by number of points"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.crossover:
        crossover(arguments)
        return
    print(
        f"{arguments.clouds} clouds of {arguments.points} points, k = {arguments.k}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {arguments.clock} time"
    )
    for channels in arguments.channels:
        measure(channels, arguments)


if __name__ == "__main__":
    main()
