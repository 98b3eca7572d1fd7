"""What a loss is called with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.data.task import Likelihood
from gkd.errors import ParameterError, suggestion
from gkd.loss import Step, View
from gkd.testing.strategies.graphs import Structure, features, structures
from gkd.testing.strategies.step_problems import StepProblem, step_problems

VIEW_PARTS = ("logits", "features", "graph", "layers")
_OTHERS = ("second", "third")


@dataclass(frozen=True)
class LossProblem:
    """Views of a student and of its teachers, of the same nodes.

    Attributes:
        student: its view.
        teacher: its view.
        others: views of further teachers, by name.
        step: what a loss may know beside the views; None where it does not ask.
    """

    student: View
    teacher: View
    others: Mapping[str, View] = field(default_factory=dict)
    step: StepProblem | None = None

    @property
    def teachers(self) -> dict[str, View]:
        """Views of all teachers, by name."""
        return {"teacher": self.teacher, **self.others}

    @property
    def views(self) -> dict[str, View]:
        """Views of all networks, by name."""
        return {"student": self.student, **self.teachers}

    def with_views(self, views: Mapping[str, View]) -> "LossProblem":
        """Return the problem with other views of the same networks."""
        others = {name: views[name] for name in self.others}
        return replace(self, student=views["student"], teacher=views["teacher"], others=others)

    def new_step(self) -> Step | None:
        """Return the step, its generator at its beginning."""
        return None if self.step is None else self.step.step(self.views)


@st.composite
def views(
    draw: st.DrawFn,
    uses: Sequence[str] = VIEW_PARTS,
    *,
    structure: Structure | None = None,
    width: int | None = None,
    classes: int = 3,
    smooth: bool = False,
    layer_widths: Sequence[int] = (4, 2),
) -> View:
    """Draw a view of one network, of one or more samples.

    Args:
        draw: given by hypothesis.
        uses: the parts that the view has.
        structure: nodes and edges; drawn by default.
        width: F of the features; drawn by default.
        classes: width of the logits.
        smooth: as in :func:`features`.
        layer_widths: of the layers before the last, which are the features.

    Raises:
        ParameterError: there is no such part, or layers without features.
    """
    for part in uses:
        if part not in VIEW_PARTS:
            raise ParameterError(f"a view has no {part!r}; {suggestion(part, VIEW_PARTS)}")
    if "layers" in uses and "features" not in uses:
        raise ParameterError('the last of the layers are the features: "features" is used, too')
    structure = draw(structures()) if structure is None else structure
    nodes = structure.num_nodes
    view = View(
        logits=draw(features(nodes, classes, smooth)) if "logits" in uses else None,
        features=draw(features(nodes, width, smooth)) if "features" in uses else None,
        graph=structure.graph if "graph" in uses else None,
        batch=structure.batch,
    )
    if "layers" not in uses or view.features is None:
        return view
    layers = [draw(features(nodes, width, smooth)) for width in layer_widths]
    return replace(view, layers=(*layers, view.features))


@st.composite
def loss_problems(
    draw: st.DrawFn,
    uses: Sequence[str] = VIEW_PARTS,
    *,
    asks: Collection[str] = (),
    different_widths: bool = True,
    agreeing: bool = False,
    smooth: bool = False,
    likelihood: Likelihood = "softmax",
) -> LossProblem:
    """Draw views of a student and of its teachers on the same graph.

    Args:
        draw: given by hypothesis.
        uses: the parts that the views have.
        asks: what the loss asks for beside two views: ``"step"``; ``"teachers"``, of which there
            are then one to three, as wide as each other.
        different_widths: whether the widths of the features may differ.
        agreeing: whether each teacher is a copy of the student: the known answer is 0 for a loss
            that declares ``zero_at_equality``.
        smooth: as in :func:`features`.
        likelihood: what the labels of the step fit.
    """
    # Derivatives are taken number by number.
    structure = draw(structures(max_nodes=3, max_samples=2) if smooth else structures())
    classes = draw(st.integers(2, 4))
    width = draw(st.integers(1, 5))
    earlier = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    view = partial(views, uses, structure=structure, classes=classes, smooth=smooth)
    student = draw(view(width=width, layer_widths=earlier))
    others = _OTHERS[: draw(st.integers(0, len(_OTHERS)))] if "teachers" in asks else ()
    if agreeing:
        teachers = [copy_view(student) for _ in ("teacher", *others)]
    else:
        if different_widths:
            width = draw(st.integers(1, 5))
            earlier = [draw(st.integers(1, 4)) for _ in earlier]
        teachers = [draw(view(width=width, layer_widths=earlier)) for _ in ("teacher", *others)]
    step = None
    if "step" in asks:
        step = draw(step_problems(structure.num_nodes, classes=classes, likelihood=likelihood))
    return LossProblem(student, teachers[0], dict(zip(others, teachers[1:], strict=True)), step)


def copy_view(view: View) -> View:
    """Return a view of the same graph with tensors of its own."""
    return map_tensors(view, torch.clone)


def parts(view: View) -> dict[str, Tensor]:
    """Tensors of a view that a gradient can have; the last layer is its features."""
    named = {"logits": view.logits, "features": view.features}
    named |= {f"layer {index}": layer for index, layer in enumerate(view.layers[:-1])}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def with_parts(view: View, named: Mapping[str, Tensor]) -> View:
    """Return the view with other tensors of these names, see :func:`parts`."""
    features = named.get("features", view.features)
    layers = [named.get(f"layer {i}", layer) for i, layer in enumerate(view.layers[:-1])]
    return replace(
        view,
        logits=named.get("logits", view.logits),
        features=features,
        layers=() if not view.layers or features is None else (*layers, features),
    )


def map_tensors(view: View, function: Callable[[Tensor], Tensor]) -> View:
    """Return the view with ``function`` applied to logits, features and layers."""
    return with_parts(view, {name: function(tensor) for name, tensor in parts(view).items()})
