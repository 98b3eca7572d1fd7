"""What a loss is called with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from hypothesis import strategies as st

from gkd.errors import ParameterError, suggestion
from gkd.loss import View
from gkd.testing.strategies.graphs import Structure, features, structures

VIEW_PARTS = ("logits", "features", "graph")


@dataclass(frozen=True)
class LossProblem:
    """Views of a student and of its teacher, of the same nodes.

    Attributes:
        student: its view.
        teacher: its view.
    """

    student: View
    teacher: View


@st.composite
def views(
    draw: st.DrawFn,
    uses: Sequence[str] = VIEW_PARTS,
    *,
    structure: Structure | None = None,
    width: int | None = None,
    classes: int = 3,
    smooth: bool = False,
) -> View:
    """Draw a view of one network, of one or more samples.

    Args:
        draw: given by hypothesis.
        uses: the parts that the view has.
        structure: nodes and edges; drawn by default.
        width: F of the features; drawn by default.
        classes: width of the logits.
        smooth: as in :func:`features`.
    """
    for part in uses:
        if part not in VIEW_PARTS:
            raise ParameterError(f"a view has no {part!r}; {suggestion(part, VIEW_PARTS)}")
    structure = draw(structures()) if structure is None else structure
    nodes = structure.num_nodes
    return View(
        logits=draw(features(nodes, classes, smooth)) if "logits" in uses else None,
        features=draw(features(nodes, width, smooth)) if "features" in uses else None,
        graph=structure.graph if "graph" in uses else None,
        batch=structure.batch,
    )


@st.composite
def loss_problems(
    draw: st.DrawFn,
    uses: Sequence[str] = VIEW_PARTS,
    *,
    different_widths: bool = True,
    agreeing: bool = False,
    smooth: bool = False,
) -> LossProblem:
    """Draw views of a student and of a teacher on the same graph.

    Args:
        draw: given by hypothesis.
        uses: the parts that the views have.
        different_widths: whether the widths of the features may differ.
        agreeing: whether the teacher is a copy of the student: the known answer is 0 for a loss
            that declares ``zero_at_equality``.
        smooth: as in :func:`features`.
    """
    # Derivatives are taken number by number.
    structure = draw(structures(max_nodes=3, max_samples=2) if smooth else structures())
    classes = draw(st.integers(2, 4))
    width = draw(st.integers(1, 5))
    view = partial(views, uses, structure=structure, classes=classes, smooth=smooth)
    student = draw(view(width=width))
    if agreeing:
        return LossProblem(student, copy_view(student))
    other = draw(st.integers(1, 5)) if different_widths else width
    return LossProblem(student, draw(view(width=other)))


def copy_view(view: View) -> View:
    """Return a view of the same graph with tensors of its own."""
    return View(
        logits=None if view.logits is None else view.logits.clone(),
        features=None if view.features is None else view.features.clone(),
        graph=view.graph,
        batch=view.batch,
    )
