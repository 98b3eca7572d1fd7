"""NaN and infinity, found and traced to what they were computed from."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from gkd.data.batch_attributes import value_of
from gkd.distillation.in_place import tensors_of
from gkd.errors import NonFiniteError
from gkd.loss import View


def require_finite(
    tasks: Mapping[str, Tensor],
    terms: Mapping[str, Tensor],
    views: Mapping[str, tuple[View, Mapping[str, View]]],
    total: Tensor,
    logits: Mapping[str, Tensor],
    epoch: int,
    batch: object,
    inputs: Iterable[str],
) -> None:
    """Check one step's losses and the teachers' outputs.

    Args:
        tasks: supervised losses of the networks that learn, by name.
        terms: losses by term.
        views: by term, the student's view, and those of its teachers by name.
        total: weighted sum of the losses.
        logits: of these networks.
        epoch: for the message.
        batch: that the networks ran on.
        inputs: its attributes that they were called with.

    Raises:
        NonFiniteError: NaN or infinity; the message names the losses concerned and what they
            were computed from.
    """
    # Several terms often compare the same tensors of a teacher.
    teachers = {
        id(tensor): tensor
        for _, of_term in views.values()
        for teacher in of_term.values()
        for tensor in tensors_of(teacher).values()
    }
    # One read of each tensor and one wait for the device: the usual step ends here. A sum that
    # overflows although all its values are finite is sorted out by the exact look that follows.
    sums = [
        t.detach().sum(dtype=torch.promote_types(t.dtype, torch.float32)).float()
        for t in (total, *teachers.values())
    ]
    if torch.stack(sums).isfinite().all():
        return
    faults = []
    for name, task in tasks.items():
        if not _finite(task):
            finite = _finite(logits[name])
            cause = "" if finite else f" (the {name}'s {_count('logits', logits[name])})"
            whose = "" if len(tasks) == 1 else f" of {name!r}"
            faults.append(f"the task loss{whose} is {task.item()}{cause}")
    for name, (student, of_term) in views.items():
        theirs = [
            source
            for teacher, view in of_term.items()
            for source in _sources("teacher" if len(of_term) == 1 else teacher, view)
        ]
        if not _finite(terms[name]):
            sources = ", ".join([*_sources("student", student), *theirs])
            cause = sources or "what it compares is finite, so the loss itself overflowed"
            faults.append(f"term {name!r} is {terms[name].item()}; {cause}")
        elif theirs:
            faults.append(f"term {name!r} is finite, but {', '.join(theirs)}")
    if not faults and not _finite(total):
        faults = [f"the total is {total.item()}, though every loss in it is finite"]
    if faults:
        given = {name: value_of(batch, name) for name in sorted(inputs)}
        spoilt = [
            f"the batch's {_count(name, value)}"
            for name, value in given.items()
            if isinstance(value, Tensor) and value.is_floating_point() and not _finite(value)
        ]
        faults = [*spoilt, *faults]
        raise NonFiniteError(f"not finite at epoch {epoch}: {'; '.join(faults)}")


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _sources(side: str, view: View) -> list[str]:
    """Name the tensors of a view that are not finite."""
    return [
        f"the {side}'s {_count(name, tensor)}"
        for name, tensor in tensors_of(view).items()
        if not _finite(tensor)
    ]


def _count(name: str, tensor: Tensor) -> str:
    nan, inf = int(tensor.isnan().sum()), int(tensor.isinf().sum())
    return f"{name} {list(tensor.shape)} hold {nan} nan and {inf} infinite values"
