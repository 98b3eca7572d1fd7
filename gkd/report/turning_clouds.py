"""Feature spaces that turn: clouds of points in three dimensions, by nothing but style sheets."""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from gkd.report.feature_spaces import FeatureSpace
from gkd.report.results import Results
from gkd.report.style import COLOURS

_MOST = 512  # points of a cloud: a browser moves each of them by itself


@dataclass(frozen=True)
class Cloud:
    """One network's view of a sample.

    Attributes:
        title: network and epoch.
        points: position of every point, each from -1 to 1, and its colour, the marked one last.
    """

    title: str
    points: list[tuple[float, float, float, str]]


def turning_clouds(run: Results) -> list[Cloud]:
    """Return a cloud for each method after its last epoch, and the teacher's.

    None where the recipe wants nothing drawn, or the points lie in a plane.
    """
    spaces = run.feature_spaces
    if spaces is None or len(spaces.teacher.pos[0]) < 3:
        return []
    clouds = [
        _cloud(f"{method}, epoch {max(map(int, view.distances))}", view)
        for method, view in spaces.students.items()
    ]
    return [*clouds, _cloud("teacher", spaces.teacher)]


def _cloud(title: str, view: FeatureSpace) -> Cloud:
    last = max(view.distances, key=lambda epoch: int(epoch) if epoch.isdecimal() else 0)
    distances = np.asarray(view.distances[last])
    shares = distances / (distances.max() or 1.0)
    kept = _spread_over(len(shares), view.node)
    places = _within_unit(np.asarray(view.pos))
    colours = [to_hex(colour) for colour in colormaps[COLOURS](shares[kept])]
    x, y, z = places[kept].round(2).T.tolist()
    return Cloud(title, list(zip(x, y, z, colours, strict=True)))


def _spread_over(count: int, marked: int) -> NDArray[np.int64]:
    """Numbers of at most so many points, evenly among all, the marked one last."""
    some = np.unique(np.linspace(0, count - 1, min(count, _MOST)).astype(np.int64))
    return np.append(some[some != marked], marked)


def _within_unit(pos: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move and scale positions, all axes alike, to fit a ball of radius 1."""
    centred = pos - (pos.max(0) + pos.min(0)) / 2
    size = float(np.linalg.norm(centred, axis=1).max())
    scaled: NDArray[np.float64] = centred / (size or 1.0)
    return scaled
