"""Terms: weighted losses between a tap of the student and a tap of a teacher."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import uuid4

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from gkd.data.rows import ALL, Rows
from gkd.distillation.layout import Layout, LayoutChoice
from gkd.distillation.schedule import Weight, weight_from
from gkd.errors import ParameterError, known_arguments
from gkd.graph import Graph
from gkd.hosting.kinds import product_mistake
from gkd.loss import AbstractLoss, AbstractWeigher

GraphBuilder: TypeAlias = Callable[[Tensor, Tensor | None], Graph]
"""Makes a graph of features ``[N, F]`` and the sample of each row, ``[N]`` or None."""

GraphChoice: TypeAlias = str | Mapping[str, object] | GraphBuilder
"""How a term names the source of a graph."""


@known_arguments
@dataclass(frozen=True)
class Term:
    """One loss between student and teacher, with its weight in the total.

    A tap is the path of a sub-module as in ``named_modules()``; ``path#0`` is the first of several
    calls in one forward pass, ``path[0]`` or ``path[key]`` an item of an output that is no tensor,
    ``path:input`` what the sub-module is called with (``path:input[1]``, ``path:input[name]`` for
    other arguments than the first). What is tapped is ``[N, F]``; a tensor of three or four axes is
    read as rows by its ``layout``, or where the batch's numbers of nodes and samples leave one
    reading. Without taps the loss sees the logits alone.

    With several teachers, ``teacher`` begins with the name of one: ``"tissue:layers.1"``, or
    ``"tissue:"`` for its logits. ``"student:layers.3"`` compares with the student itself,
    ``"ema:"`` with its moving average. A list of taps gives the loss several layers
    (``View.layers``), or several teachers where it names these.

    Args:
        loss: name of a loss, or a loss.
        weight: number, schedule, or mapping as
            :func:`gkd.schedule.schedule_from` takes it; or ``{"gradient_share": 0.3}``, with which
            the term's gradient at what it compares keeps this ratio to the task's; or ``{"learned":
            "uncertainty"}``, which the optimiser moves.
        student: tap of the student, or of a teacher that is trained: ``"peer:layers.1"``.
        teacher: tap of the teacher.
        params: parameters of a loss given by name.
        name: key of the term in reports; by default the loss's name, then ``name-2``, ``name-3``…
        graph: source of both views' graphs: an attribute of the batch, ``"tap:PATH"`` (each
            network's own sub-module of this path), a builder ``(features, batch) -> Graph``, or a
            mapping with a builder's name and parameters. By default ``edge_index`` for terms with
            taps, where the batch has one.
        student_graph: source of the student's graph alone.
        teacher_graph: source of the teacher's graph alone.
        layout: what the axes of both tapped outputs are, such as ``"N H F"`` (heads of each node)
            or ``"B C N"`` (channels first), see :class:`gkd.distillation.layout.Layout`; with a
            mask of the batch, ``{"form": "B N F", "mask": "mask"}``, padding is left out.
        student_layout: what those of the student's alone are.
        teacher_layout: what those of the teacher's alone are.
        rows: that the loss takes: a mask of the batch (``"train_mask"``, ``"train_mask[0]"``), the
            other rows (``"~train_mask"``), ``"seeds"`` of a sampled batch, or ``"all"``.
        weigher: weights of the rows: a name, a mapping with the name and parameters, or a
            :class:`gkd.AbstractWeigher`. The loss must have a value per row.
        connector: what brings the student's features to the teacher's width before they are
            compared: a module, or any name for a linear map that is learned; terms that give the
            same share it.

    Raises:
        ParameterError: an argument that is unknown, of the wrong type or out of its range.

    >>> Term("lsp", weight=100.0, student="layers.2", teacher="layers.1").default_name
    'lsp'
    """

    loss: str | AbstractLoss
    weight: float | Mapping[str, object] | Weight = 1.0
    student: str | Sequence[str] | None = None
    teacher: str | Sequence[str] | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    name: str | None = None
    graph: GraphChoice | None = None
    student_graph: GraphChoice | None = None
    teacher_graph: GraphChoice | None = None
    layout: LayoutChoice | None = None
    student_layout: LayoutChoice | None = None
    teacher_layout: LayoutChoice | None = None
    rows: str = ALL
    weigher: str | Mapping[str, object] | AbstractWeigher | None = None
    connector: str | nn.Module | None = None

    def __post_init__(self) -> None:
        loss: object = self.loss
        if not isinstance(loss, str | AbstractLoss):
            got = type(loss).__name__
            if isinstance(loss, type):
                got = f"the class {loss.__name__}: make one"
            raise ParameterError(
                f"term: loss must be the name of a loss or a gkd.AbstractLoss, got {got}"
            )
        for kind, given in (("loss", loss), ("weigher", self.weigher)):
            if isinstance(given, nn.Module) and (mistake := product_mistake(kind, given)):
                raise ParameterError(f"term {self.default_name!r}: {kind} {mistake}")
        if self.params and not isinstance(self.loss, str):
            raise ParameterError(
                f"term {self.default_name!r}: params are for a loss given by name; "
                "give them to the loss itself"
            )
        for side in ("student", "teacher"):
            taps = getattr(self, side)
            listed = taps if isinstance(taps, list | tuple) else [taps]
            if taps is not None and not (listed and all(isinstance(t, str) for t in listed)):
                raise ParameterError(
                    f"term {self.default_name!r}: {side} must be a tap such as 'layers.1', or a "
                    f"list of taps, got {taps!r}"
                )
        if not isinstance(self.connector, str | nn.Module | None):
            raise ParameterError(
                f"term {self.default_name!r}: connector must be a module or the name of a map that "
                f"is learned, got {self.connector!r}"
            )
        if isinstance(self.connector, str):
            require_key("connector", self.connector)
        weight_from(self.weight)
        for key, taps in (
            ("layout", (self.student, self.teacher)),
            ("student_layout", (self.student,)),
            ("teacher_layout", (self.teacher,)),
        ):
            layout = getattr(self, key)
            if layout is not None and not any(taps):
                raise ParameterError(
                    f"term {self.default_name!r}: {key}={layout!r} is of a tapped tensor, but no "
                    "tap is named"
                )
            if layout is not None:
                Layout.parse(layout)
        Rows.parse(self.rows)

    @property
    def default_name(self) -> str:
        """Name of the term where the user gave none and it is free."""
        if isinstance(self.loss, str):
            return self.loss.rpartition(":")[2].replace(".", "-")
        return type(self.loss).__name__.lower()


def term_names(terms: list[Term]) -> list[str]:
    """Names of ``terms``, all different, in their order.

    Raises:
        ParameterError: two terms were given one name, or a name is unusable.

    >>> term_names([Term("kd"), Term("kd"), Term("kd", name="logits")])
    ['kd', 'kd-2', 'logits']
    """
    taken: set[str] = set()
    for name in (term.name for term in terms if term.name is not None):
        if name in taken:
            raise ParameterError(f"two terms are named {name!r}; names must differ")
        require_key("term name", name)
        taken.add(name)
    names = []
    for term in terms:
        name, number = term.name or term.default_name, 1
        while term.name is None and name in taken:
            number += 1
            name = f"{term.default_name}-{number}"
        taken.add(name)
        names.append(name)
    return names


def name_and_parameters(
    argument: str, noun: str, choice: Mapping[str, object]
) -> tuple[str, dict[str, object]]:
    """Return the name and the parameters that a mapping gives of a component.

    Args:
        argument: of the term, for messages.
        noun: what messages call the component.
        choice: the mapping.

    Raises:
        ParameterError: it has no name.

    >>> name_and_parameters("graph", "builder", {"name": "knn", "k": 3})
    ('knn', {'k': 3})
    """
    parameters = dict(choice)
    name = parameters.pop("name", None)
    if not isinstance(name, str):
        raise ParameterError(f"{argument}: a mapping needs the {noun}'s 'name', got {choice!r}")
    return name, parameters


def component_key(component: object, parameters: Mapping[str, object] | None) -> str:
    """Return a name that another component has only if it computes the same.

    Args:
        component: a loss or a graph builder.
        parameters: that it was created with by name: then the name is the same in any process.
            None, or parameters that are objects, name the component itself while it lives.
    """
    kind, content = type(component), uuid4().hex
    with suppress(TypeError):  # what cannot be weakly referenced is never found again
        content = _lasting.setdefault(component, content)
    if parameters is not None:
        with suppress(TypeError):
            content = json.dumps(parameters, sort_keys=True)
    return f"{kind.__module__}.{kind.__qualname__}({content})"


_lasting: MutableMapping[object, str] = WeakIdKeyDictionary()


def require_key(what: str, name: str) -> None:
    """Check that torch can keep a module under ``name``.

    Raises:
        ParameterError: it cannot.
    """
    if not name or "." in name or hasattr(nn.ModuleDict, name):
        raise ParameterError(
            f"{what} {name!r} must not be empty, contain a dot or be a method of a dict"
        )
