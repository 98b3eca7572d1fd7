"""NaN and infinity, found and blamed."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from gkd.errors import NonFiniteError
from gkd.loss import View


def require_finite(
    task: Tensor,
    terms: Mapping[str, Tensor],
    views: Mapping[str, tuple[View, View]],
    total: Tensor,
    logits: Tensor,
    epoch: int,
) -> None:
    """Check one step's losses and the teachers' outputs.

    Args:
        task: supervised loss.
        terms: losses by term.
        views: student's and teacher's view by term.
        total: weighted sum of the losses.
        logits: of the student.
        epoch: for the message.

    Raises:
        NonFiniteError: NaN or infinity; the message names the losses concerned and what they
            were computed from.
    """
    if _quickly_finite([total, *_tensors_of_teachers(views)]):
        return
    faults = [] if _finite(task) else [f"the task loss is {task.item()}{_cause(logits=logits)}"]
    for name, (student, teacher) in views.items():
        blame = _blame(student, teacher)
        if not _finite(terms[name]):
            faults.append(f"term {name!r} is {terms[name].item()}; {blame or _LOSS_ITSELF}")
        elif any(not _finite(tensor) for tensor in _tensors(teacher).values()):
            faults.append(f"term {name!r} is finite, but {_blame(None, teacher)}")
    if not faults and not _finite(total):
        faults = [f"the total is {total.item()}, though every loss in it is finite"]
    if faults:
        raise NonFiniteError(f"not finite at epoch {epoch}: {'; '.join(faults)}")


_LOSS_ITSELF = "what it compares is finite, so the loss itself overflowed"


def _quickly_finite(tensors: list[Tensor]) -> bool:
    # One read of each tensor and one wait for the device. A sum that overflows although all its
    # values are finite is sorted out by the exact look that follows.
    sums = [t.detach().sum(dtype=torch.promote_types(t.dtype, torch.float32)) for t in tensors]
    return bool(torch.stack([value.float() for value in sums]).isfinite().all())


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _tensors(view: View) -> dict[str, Tensor]:
    named = {"logits": view.logits, "features": view.features, "target": view.edge_values}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def _tensors_of_teachers(views: Mapping[str, tuple[View, View]]) -> Iterator[Tensor]:
    # Several terms often compare the same tensors.
    unique = {id(t): t for _, teacher in views.values() for t in _tensors(teacher).values()}
    yield from unique.values()


def _blame(student: View | None, teacher: View) -> str:
    sides = {"student": student, "teacher": teacher}
    return ", ".join(
        f"the {side}'s {_count(name, tensor)}"
        for side, view in sides.items()
        if view is not None
        for name, tensor in _tensors(view).items()
        if not _finite(tensor)
    )


def _cause(logits: Tensor) -> str:
    return "" if _finite(logits) else f" (the student's {_count('logits', logits)})"


def _count(name: str, tensor: Tensor) -> str:
    nan, inf = int(tensor.isnan().sum()), int(tensor.isinf().sum())
    return f"{name} {list(tensor.shape)} hold {nan} nan and {inf} infinite values"
