"""How losses and weighers are called: what they ask for, and what they must give."""

import inspect
from collections.abc import Collection, Mapping

from torch import Tensor

from gkd.distillation.taps import describe
from gkd.errors import ParameterError, suggestion
from gkd.loss import AbstractLoss, AbstractWeigher, Step, View

_ASKED = ("step", "teachers", "rows")  # what a loss may ask for beside two views


def asked_by(loss: AbstractLoss) -> Collection[str]:
    """Return what the loss's ``forward`` takes beside two views, of those that it may ask for.

    Raises:
        ParameterError: it needs something that there is not.
    """
    parameters = inspect.signature(loss.forward).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for parameter in named:
        known = parameter.name in ("student", "teacher", *_ASKED)
        if not known and parameter.default is parameter.empty:
            raise ParameterError(
                f"the loss's forward asks for {parameter.name!r}; beside student and teacher it "
                f"can have {', '.join(_ASKED)}; {suggestion(parameter.name, _ASKED)}"
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
        ParameterError: it gave something else than it declares, or cannot compare views of two
            floating types.
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
    shape = [student.num_rows] if loss.per_row else []
    if list(getattr(value, "shape", [None])) != shape:
        expected = (
            f"a value for each of {student.num_rows} rows, as per_row = True declares"
            if shape
            else "a scalar tensor; one that has a value per row declares per_row = True"
        )
        raise ParameterError(f"the loss gave {describe(value)}, not {expected}")
    return value


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
    return weights.detach()
