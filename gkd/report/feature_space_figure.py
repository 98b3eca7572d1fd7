"""The picture of the feature spaces, after figure 4 of the paper."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gkd.report.feature_spaces import FeatureSpace, rank_correlation
from gkd.report.results import Results
from gkd.report.style import COLOURS, INK, MUTED, WIDTH

CAPTION = (
    "Feature spaces, as in the paper's figure 4, of the object {sample}, students of seed {seed}: "
    "the distance of every point's feature to that of the marked point, as a share of the largest; "
    "students after several epochs, the trained teacher beside them. ρ is the rank correlation of "
    "a student's distances with the teacher's."
)

_MARK = "#d62728"
_AZIMUTH, _ELEVATION = np.radians(35.0), np.radians(20.0)
_DOTS = 2600.0  # points² over all dots of a panel


def feature_space_figure(run: Results) -> Figure | None:
    """Draw a row per method, a column per epoch, and the teacher at the end of each row."""
    spaces = run.feature_spaces
    if spaces is None or not spaces.students:
        return None
    epochs = sorted({int(epoch) for one in spaces.students.values() for epoch in one.distances})
    (target,) = spaces.teacher.distances.values()
    columns, rows = len(epochs) + 1, len(spaces.students)
    side = WIDTH / (columns + 0.35)
    figure = Figure(figsize=(WIDTH, (side + 0.25) * rows + 0.25), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for line, (method, view) in zip(grid, spaces.students.items(), strict=True):
        for axes, epoch in zip(line, epochs, strict=False):
            _prepare(axes)
            if (distances := view.distances.get(str(epoch))) is not None:
                _draw(axes, view, distances)
                axes.set_xlabel(f"ρ {rank_correlation(distances, target):.2f}", labelpad=1)
        _prepare(line[-1])
        _draw(line[-1], spaces.teacher, target)
        line[0].set_ylabel(method, parse_math=False)
    for axes, title in zip(
        grid[0], [*(f"epoch {epoch}" for epoch in epochs), "teacher"], strict=True
    ):
        axes.set_title(title, color=INK, fontsize=9)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), COLOURS), ax=grid, fraction=0.02, pad=0.01, ticks=[0, 1]
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, colors=MUTED, labelsize=8)
    bar.set_label("distance / largest", color=MUTED, fontsize=8, labelpad=-6)
    _draw_directions(grid[0][0], spaces.teacher)
    return figure


def _draw_directions(axes: Axes, view: FeatureSpace) -> None:
    """Draw where x, y and z of the object point, in a corner of a panel."""
    ends = np.eye(3)[: len(view.pos[0])]
    across, up, _ = _project(np.vstack([np.zeros_like(ends[:1]), ends]))
    for name, x, y in zip("xyz", across[1:], up[1:], strict=False):
        tip = 0.1 + 0.09 * x, 0.1 + 0.09 * y
        axes.annotate(
            "",
            xy=tip,
            xytext=(0.1, 0.1),
            xycoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.8},
        )
        axes.text(
            0.1 + 0.13 * x,
            0.1 + 0.13 * y,
            name,
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=7,
            color=MUTED,
        )


def _prepare(axes: Axes) -> None:
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.xaxis.label.set(color=MUTED, fontsize=8.5)
    axes.yaxis.label.set(color=INK, fontsize=9)


def _draw(axes: Axes, view: FeatureSpace, distances: list[float]) -> None:
    across, up, depth = _project(np.asarray(view.pos))
    order = np.argsort(depth)  # the farthest first
    share = np.asarray(distances) / (max(distances) or 1.0)
    axes.scatter(
        across[order],
        up[order],
        c=share[order],
        s=min(16.0, _DOTS / len(order)),
        cmap=COLOURS,
        vmin=0,
        vmax=1,
        linewidths=0,
        rasterized=True,
    )
    axes.scatter(
        across[view.node], up[view.node], s=34, color=_MARK, edgecolors="white", linewidths=0.8
    )
    axes.margins(0.08)


def _project(pos: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Turn positions into those across, up and towards the viewer, who sees a plane from above."""
    x, y, z = (pos[:, axis] if axis < pos.shape[1] else np.zeros(len(pos)) for axis in range(3))
    if pos.shape[1] < 3:
        return x, y, z
    forward = np.cos(_AZIMUTH) * x + np.sin(_AZIMUTH) * y
    across = np.cos(_AZIMUTH) * y - np.sin(_AZIMUTH) * x
    up = np.cos(_ELEVATION) * z - np.sin(_ELEVATION) * forward
    return across, up, np.cos(_ELEVATION) * forward + np.sin(_ELEVATION) * z
