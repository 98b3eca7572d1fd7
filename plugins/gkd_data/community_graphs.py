"""The generator behind ``communities``: graphs whose labels depend on two hops of neighbours."""

from dataclasses import dataclass

import numpy as np
import torch

from gkd import Sample
from gkd_data.random_by_purpose import random_state

# Numbers that are summed up are multiples of this: their sums are exact in any order, so that
# features and links do not depend on how many threads take part.
_STEP = 2.0**-8
_BACKGROUND = 0.2  # share of the links that ignore communities
_DENSITY = 0.3  # share of the nodes that have a label
_CALIBRATION_GRAPHS = 8


@dataclass(frozen=True, slots=True)
class CommunityLaw:
    """What the graphs of one family have in common.

    Args:
        seed: seed of everything random.
        nodes: nodes per graph N.
        features: width F of the input.
        classes: number of binary labels C.
        communities: number of communities K.
        degree: expected number of neighbours d.
        noise: deviation σ of the feature noise; the signal has deviation about 0.8.
        hidden: share of nodes whose features are all zero.
    """

    seed: int
    nodes: int
    features: int
    classes: int
    communities: int
    degree: float
    noise: float
    hidden: float


@dataclass(frozen=True, slots=True)
class CommunityGraph:
    """One graph of the family.

    Args:
        features: float64 ``[N, F]``.
        edges: int64 ``[2, E]``, symmetric, sorted by (target, source).
        labels: bool ``[N, C]``.
    """

    features: np.ndarray
    edges: np.ndarray
    labels: np.ndarray

    def sample(self, id: str, labels: slice = slice(None)) -> Sample:
        """Return the graph as a sample, its features and some labels in the float32 of models."""
        return Sample(
            id=id,
            x=torch.from_numpy(self.features).float(),
            edge_index=torch.from_numpy(self.edges),
            y=torch.from_numpy(self.labels[:, labels]).float(),
        )


class CommunityGenerator:
    """Draws graphs of one family; the same ``key`` always yields the same graph."""

    def __init__(self, law: CommunityLaw) -> None:
        self.law = law
        rng = random_state(law.seed, "communities")
        self._directions = _dyadic(rng.standard_normal((law.communities, law.features)))
        self._factors = rng.standard_normal((2, 3 * law.communities, law.classes))
        # Scales and thresholds come from graphs of their own, not from those of a data set: a label
        # means the same however many graphs are asked for.
        known = np.concatenate(
            [
                context(*self._structure(random_state(law.seed, "calibration", i)))
                for i in range(_CALIBRATION_GRAPHS)
            ]
        )
        deviation = known.std(0)
        self._mean, self._scale = known.mean(0), np.where(deviation > 0, deviation, 1.0)
        self._thresholds = np.quantile(self._scores(known), 1 - _DENSITY, axis=0)

    def graph(self, *key: int) -> CommunityGraph:
        """Draw the graph that belongs to ``key``."""
        rng = random_state(self.law.seed, "graph", *key)
        memberships, adjacency = self._structure(rng)
        noise = self.law.noise * rng.standard_normal((self.law.nodes, self.law.features))
        visible = rng.random((self.law.nodes, 1)) >= self.law.hidden
        # Row by row, and rows are the targets: sorted by (target, source).
        target, source = adjacency.nonzero()
        return CommunityGraph(
            features=visible * (memberships @ self._directions + noise),
            edges=np.stack([source, target]),
            labels=self._scores(context(memberships, adjacency)) > self._thresholds,
        )

    def _structure(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shape = (self.law.nodes, self.law.communities)
        # Ranks of random numbers: the lowest one to three are a uniform choice of communities, and
        # normalised exponentials are uniform on the simplex.
        joined = rng.random(shape).argsort(1).argsort(1) < rng.integers(1, 4, (shape[0], 1))
        weights = joined * rng.standard_exponential(shape)
        memberships = _dyadic(weights / weights.sum(1, keepdims=True))
        affinity = memberships @ memberships.T
        affinity = (1 - _BACKGROUND) * affinity / affinity.mean() + _BACKGROUND
        linked = rng.random(affinity.shape) < self.law.degree / self.law.nodes * affinity
        # The upper triangle decides for both directions; the diagonal goes, since models add loops.
        upper = np.triu(linked, 1)
        return memberships, (upper | upper.T).astype(np.float64)

    def _scores(self, contexts: np.ndarray) -> np.ndarray:
        factors = ((contexts - self._mean) / self._scale) @ self._factors
        scores: np.ndarray = factors[0] * factors[1]
        return scores


def context(memberships: np.ndarray, adjacency: np.ndarray) -> np.ndarray:
    """Return what the labels of each node depend on: memberships at zero, one and two hops.

        h_i = [θ_i, (Aθ)_i / (A1)_i, (A²θ)_i / (A²1)_i],   0/0 = 0

    Args:
        memberships: θ, ``[N, K]``.
        adjacency: A, zeros and ones, ``[N, N]``.

    Returns:
        ``[N, 3K]``, not standardised.
    """
    near = adjacency @ np.column_stack([memberships, np.ones(len(memberships))])
    far = adjacency @ near
    hops = [sums[:, :-1] / np.maximum(sums[:, -1:], 1) for sums in (near, far)]
    found: np.ndarray = np.concatenate([memberships, *hops], axis=1)
    return found


def _dyadic(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.round(values / _STEP) * _STEP
    return rounded
