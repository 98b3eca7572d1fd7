"""The generator behind ``molecules``: random trees with rings, and sums over their atoms."""

from dataclasses import dataclass

import numpy as np
import torch

from gkd import Sample
from gkd_data.random_by_purpose import random_state

_VALENCE = 4
_ATTEMPTS = 8  # to close a ring, whose ends must both be free
_CALIBRATION_GRAPHS = 512
# Factors are multiples of this: sums of their products with whole numbers are exact in any order.
_STEP = 2.0**-8


@dataclass(frozen=True, slots=True)
class MoleculeLaw:
    """What the molecules of one family have in common.

    Args:
        seed: seed of everything random.
        smallest: least number of atoms.
        largest: largest number of atoms.
        types: number of types of atoms K.
        rings: largest number of rings.
        properties: number of properties D.
        noise: deviation of the noise of a property.
    """

    seed: int
    smallest: int
    largest: int
    types: int
    rings: int
    properties: int
    noise: float


class MoleculeGenerator:
    """Draws molecules of one family; the same split and number always yield the same one."""

    def __init__(self, law: MoleculeLaw) -> None:
        self.law = law
        rng = random_state(law.seed, "molecules")
        factors = rng.standard_normal((2, 3 * law.types, law.properties))
        self._factors = np.round(factors / _STEP) * _STEP
        shares = np.ones(law.types)
        shares[0] = 2
        self._shares = shares / shares.sum()
        # Of molecules of their own: a property means the same however many are asked for.
        known = np.stack(
            [
                self._sum(*self._structure(random_state(law.seed, "calibration", i)))
                for i in range(_CALIBRATION_GRAPHS)
            ]
        )
        deviation = known.std(0)
        self._mean, self._scale = known.mean(0), np.where(deviation > 0, deviation, 1.0)

    def molecule(self, split: str, index: int) -> Sample:
        """Draw a molecule."""
        rng = random_state(self.law.seed, split, index)
        types, adjacency = self._structure(rng)
        value = (self._sum(types, adjacency) - self._mean) / self._scale
        value = value + self.law.noise * rng.standard_normal(self.law.properties)
        # Row by row, and rows are the targets: sorted by (target, source).
        target, source = adjacency.nonzero()
        return Sample(
            id=f"{split}-{index}",
            x=torch.from_numpy(np.eye(self.law.types)[types]).float(),
            edge_index=torch.from_numpy(np.stack([source, target])),
            y=torch.from_numpy(value[None]).float(),
        )

    def _structure(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the type of each atom, ``[n]``, and which are bonded, ``[n, n]``."""
        atoms = int(rng.integers(self.law.smallest, self.law.largest + 1))
        bonded = np.zeros((atoms, atoms), dtype=np.int64)
        bonds = np.zeros(atoms, dtype=np.int64)
        for atom in range(1, atoms):
            # Some atom is free: so far there are fewer bonds than atoms.
            free = np.flatnonzero(bonds[:atom] < _VALENCE)
            other = free[rng.integers(len(free))]
            bonded[atom, other] = bonded[other, atom] = 1
            bonds[[atom, other]] += 1
        for _ in range(int(rng.integers(self.law.rings + 1))):
            for _ in range(_ATTEMPTS):
                one, other = rng.integers(atoms, size=2)
                full = bonds[[one, other]].max() >= _VALENCE
                if one != other and not bonded[one, other] and not full:
                    bonded[one, other] = bonded[other, one] = 1
                    bonds[[one, other]] += 1
                    break
        return rng.choice(self.law.types, size=atoms, p=self._shares), bonded

    def _sum(self, types: np.ndarray, bonded: np.ndarray) -> np.ndarray:
        """Sum what the atoms contribute to each property, over √n."""
        own = np.eye(self.law.types, dtype=np.int64)[types]
        near = bonded @ own
        context = np.concatenate([own, near, bonded @ near], axis=1)
        first, second = context @ self._factors
        total: np.ndarray = (first * second).sum(0) / np.sqrt(len(types))
        return total
