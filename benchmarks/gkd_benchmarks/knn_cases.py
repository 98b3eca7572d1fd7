"""Nearest neighbours of the points of many clouds, or of one large cloud."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

import gkd
from gkd.benchmarking import Benchmark, Goal, MissingPackageError, Setting, Work
from gkd_benchmarks.packages import cluster, faiss_index, scipy_tree
from gkd_benchmarks.problems import normal

_EXACT_CLOUDS = 2  # are compared with float64, of at most so many points:
_EXACT_POINTS = 2048


Search: TypeAlias = Callable[[np.ndarray, int], np.ndarray]


class Neighbours(Benchmark):
    """The k nearest of every point of a batch of clouds that fill the space.

    The error is the fraction of points whose neighbours are not those of exact arithmetic.
    """

    def __init__(
        self,
        channels: int,
        *,
        goal: Goal,
        clouds: int = 32,
        points: int = 1024,
        k: int = 20,
        backend: str = "auto",
    ) -> None:
        self.goal, self.k, self.backend = goal, k, backend
        self.features = normal(clouds * points, channels)
        self.shape = (clouds, points, channels)
        self.batch = torch.arange(clouds).repeat_interleave(points)

    def ours(self, setting: Setting) -> Work:
        """Build the graph."""
        features, batch = setting.features(self.features), setting.indices(self.batch)
        builder = gkd.create("graph", "knn", k=self.k, backend=self.backend)
        return lambda: [builder(features, batch).source]

    def results(self, setting: Setting, *, ours: bool) -> Sequence[Tensor]:
        """Return the neighbours, ascending, ``[points, k]``, of a few clouds."""
        clouds, points, _ = self.shape
        if points > _EXACT_POINTS:
            return []
        sources = (self.ours if ours else self.theirs)(setting)()[0].view(-1, self.k)
        few = sources[: min(clouds, _EXACT_CLOUDS) * points]
        return [few.sort(dim=1).values]

    def error(self, results: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
        """Return the fraction of points that got a wrong neighbour."""
        wrong = (results[0].cpu() != exact[0]).any(dim=1)
        return float(wrong.double().mean())


class AgainstPackages(Neighbours):
    """The k nearest of every point of a batch of clouds, against the fastest of several ways."""

    alternative = "best of torch_cluster, scipy, faiss, cdist + topk"

    def theirs(self, setting: Setting) -> Work:
        """Return whichever was the fastest in the second of two runs; one at least is a package."""
        features, batch = setting.features(self.features), setting.indices(self.batch)
        ways: dict[str, Work] = {"dense": lambda: [self._dense(features)]}
        if not setting.exact:
            knn = cluster().knn
            ways["tree"] = lambda: [knn(features, features, self.k, batch, batch)[1]]
            with suppress(MissingPackageError):
                tree = scipy_tree()
                ways["scipy"] = lambda: [self._by_cloud(features, partial(_by_scipy, tree))]
            with suppress(MissingPackageError):
                index = faiss_index()
                ways["faiss"] = lambda: [self._by_cloud(features, partial(_by_faiss, index))]
        return ways[_fastest(ways)] if len(ways) > 1 else ways["dense"]

    def _by_cloud(self, features: Tensor, search: Search) -> Tensor:
        clouds, points, _ = self.shape
        found = [search(cloud, self.k) for cloud in features.view(self.shape).cpu().numpy()]
        first = np.arange(clouds)[:, None, None] * points
        return torch.from_numpy((np.stack(found) + first).reshape(-1))

    def _dense(self, features: Tensor) -> Tensor:
        clouds = features.view(self.shape)
        first = torch.arange(self.shape[0], device=features.device) * self.shape[1]
        nearest = torch.cdist(clouds, clouds).topk(self.k, largest=False).indices
        return (nearest + first[:, None, None]).flatten()


class AgainstTree(Neighbours):
    """The k nearest by tiles of distances, against the k-d trees of torch-cluster.

    Where the two are equally fast, the builder changes from one to the other.
    """

    alternative = "gkd with torch-cluster"
    tree = "torch-cluster"

    def __init__(self, channels: int, points: int, total: int = 8192) -> None:
        super().__init__(
            channels, goal=Goal(), clouds=total // points, points=points, backend="torch"
        )

    def theirs(self, setting: Setting) -> Work:
        """Build the graph in the other way."""
        if setting.exact:
            return self.ours(setting)
        self.require()
        features, batch = setting.features(self.features), setting.indices(self.batch)
        builder = gkd.create("graph", "knn", k=self.k, backend=self.tree)
        return lambda: [builder(features, batch).source]

    def require(self) -> None:
        """Raise MissingPackageError where there is no such tree."""
        cluster()


class AgainstScipy(AgainstTree):
    """The k nearest by tiles of distances, against the k-d trees of scipy."""

    alternative = "gkd with scipy"
    tree = "scipy"

    def require(self) -> None:
        """Raise MissingPackageError where there is no such tree."""
        scipy_tree()


class LargeCloud(Neighbours):
    """The k nearest of every point of one cloud of 100,000 points, where memory is what counts."""

    alternative = "torch_cluster"
    repeats = 3
    long = True

    def __init__(self, channels: int = 3, points: int = 100_000, backend: str = "auto") -> None:
        goal = Goal(process_bytes=2 * 2**30)
        super().__init__(channels, goal=goal, clouds=1, points=points, backend=backend)

    def theirs(self, setting: Setting) -> Work:
        """Search a tree."""
        features, knn = setting.features(self.features), cluster().knn
        return lambda: [knn(features, features, self.k)[1]]


class LargeCloudOfScipy(LargeCloud):
    """The k nearest of every point of one cloud of 100,000 points, against a tree as it comes."""

    alternative = "scipy cKDTree"

    def theirs(self, setting: Setting) -> Work:
        """Search scipy's tree."""
        features, tree = setting.features(self.features).double().numpy(), scipy_tree()
        return lambda: [torch.from_numpy(tree(features).query(features, self.k)[1]).flatten()]


def _by_scipy(tree: Callable[..., Any], cloud: np.ndarray, k: int) -> np.ndarray:
    found: np.ndarray = tree(cloud).query(cloud, k, workers=torch.get_num_threads())[1]
    return found


def _by_faiss(index: Callable[..., Any], cloud: np.ndarray, k: int) -> np.ndarray:
    flat = index(cloud.shape[1])
    flat.add(cloud)
    found: np.ndarray = flat.search(cloud, k)[1]
    return found


def _fastest(ways: Mapping[str, Callable[[], object]]) -> str:
    seconds = {}
    for name, way in ways.items():
        way()
        begin = perf_counter()
        way()
        seconds[name] = perf_counter() - begin
    return min(seconds, key=lambda name: seconds[name])
