"""How losses and weighers are called: what they ask for, and what they must give."""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import fields

import torch
from torch import Tensor

from gkd.distillation.taps import describe
from gkd.errors import ParameterError, nearest, suggestion
from gkd.errors.causes import raised_at
from gkd.loss import AbstractLoss, AbstractWeigher, Step, View

_ASKED = ("step", "teachers", "rows")  # what a loss may ask for beside two views

_REMEDIES = {  # of what a view lacks; without features there is no graph of them
    "features": "name a tap of each network, student = … and teacher = …, or compare logits",
    "graph": "the batch needs an edge_index, or the term a graph",
    "logits": 'name them in the loss\'s uses = ("logits",)',
}


def asked_by(loss: AbstractLoss) -> Collection[str]:
    """Return what the loss's ``forward`` takes beside two views, of those that it may ask for.

    Raises:
        ParameterError: it needs something that there is not.
    """
    parameters = list(inspect.signature(loss.forward).parameters.values())
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for parameter in named:
        known = parameter.name in ("student", "teacher", *_ASKED)
        if not known and parameter.default is parameter.empty:
            near = nearest(parameter.name, _ASKED)
            raise ParameterError(
                f"the loss's forward asks for {parameter.name!r}: it is called with two views, "
                f"forward(self, student, teacher), and beside them it can have {', '.join(_ASKED)}"
                + (f"; did you mean {near!r}?" if near else "")
            )
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in ("student", "teacher"):
        if not open_ended and name not in [parameter.name for parameter in named]:
            raise ParameterError(
                f"the loss's forward has no parameter {name!r}: it is called with two views, "
                "forward(self, student, teacher)"
            )
    return [parameter.name for parameter in named if parameter.name in _ASKED]


def loss_value(
    loss: AbstractLoss,
    student: View,
    teachers: Mapping[str, View],
    step: Step | None = None,
    asks: Collection[str] = (),
    rows: Tensor | None = None,
) -> Tensor:
    """Return what a loss gives: a scalar, or ``[N]`` where it has a value per row.

    Args:
        loss: that compares.
        student: view of what learns.
        teachers: views of what it is compared with, by name; the first is the teacher.
        step: None where the loss does not ask for it.
        asks: what the loss asks for, see :func:`asked_by`.
        rows: whose values are looked at, int64 ``[M]``, ascending; None for all.

    Raises:
        ParameterError: it gave something else than it declares, cannot compare views of two
            floating types, or took a view for a tensor.
    """
    offered: Mapping[str, object] = {"step": step, "teachers": teachers, "rows": rows}
    teacher = next(iter(teachers.values()))
    try:
        value: Tensor = loss(
            student=student, teacher=teacher, **{name: offered[name] for name in asks}
        )
    except RuntimeError as error:
        ours, theirs = _floating_types(student), _floating_types(teacher)
        if ours == theirs or "type" not in str(error):  # under autocast they may well differ
            raise
        raise ParameterError(
            f"the loss cannot compare {', '.join(ours)} of the student with {', '.join(theirs)} of "
            "the teacher: give both networks one type, such as by teacher.float()"
        ) from error
    except (AttributeError, TypeError) as error:
        if (mistake := _mistaken_view(error, student, teacher)) is None:
            raise
        place = raised_at(error)
        where = f" [{place}]" if place.file else ""
        words = f"{type(error).__name__}: {error}"
        raise ParameterError(f"the loss raised {words}{where}: {mistake}") from error
    shape = [student.num_rows] if loss.per_row else []
    if not isinstance(value, Tensor) or list(value.shape) != shape:
        expected = (
            f"a value for each of {student.num_rows} rows, as per_row = True declares"
            if shape
            else "a scalar tensor; one that has a value per row declares per_row = True"
        )
        raise ParameterError(f"the loss gave {describe(value)}, not {expected}")
    return value


def _mistaken_view(error: AttributeError | TypeError, student: View, teacher: View) -> str | None:
    """Say what an error has to do with the views that a loss was given; None where nothing."""
    if isinstance(error, AttributeError) and isinstance(error.obj, Step):
        known = [field.name for field in fields(Step) if not field.name.startswith("_")]
        return f"of a step: {suggestion(error.name or '', known)}"
    if "View" in str(error):
        asked = error.name if isinstance(error, AttributeError) and error.name else ""
        near = nearest(asked, (field.name for field in fields(View)))
        return "its forward is given a view of each network, and no tensor: " + (
            f"did you mean {near!r}?" if near else "student.features, or student.logits"
        )
    for name, remedy in _REMEDIES.items():
        lacks = getattr(student, name) is None or getattr(teacher, name) is None
        if lacks and "NoneType" in str(error):
            return f"the views of this term have no {name}: {remedy}"
    return None


def _floating_types(view: View) -> list[str]:
    """Return the floating types of what a view holds, in order, each once."""
    tensors = [t for t in (view.logits, view.features, *view.layers) if t is not None]
    return list(dict.fromkeys(str(t.dtype) for t in tensors if t.is_floating_point()))


def row_weights(weigher: AbstractWeigher, student: View, teacher: View, step: Step) -> Tensor:
    """Return the weights of the rows, ``[N]``, without a gradient.

    Raises:
        ParameterError: the weigher gave something else.
    """
    weights: Tensor = weigher(student, teacher, step)
    if list(getattr(weights, "shape", [None])) != [student.num_rows]:
        raise ParameterError(
            f"the weigher gave {describe(weights)}, not a weight for each of "
            f"{student.num_rows} rows"
        )
    weights = weights.detach()
    wrong = ~((weights >= 0) & weights.isfinite())
    if weights.device.type != "cpu":
        # Not looked at here, which would be a wait for the device: the step's one look finds it.
        return weights.masked_fill(wrong, torch.nan)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise ParameterError(
            f"the weigher gave {float(weights[row])} for row {row}: a weight is a finite number of "
            "at least 0"
        )
    return weights
