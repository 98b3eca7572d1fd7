"""What the tasks have in common: precision, known labels, words about tensors."""

import torch
from torch import Tensor

from gkd.errors import DataError, NonFiniteError, ParameterError


def at_least_single(outputs: Tensor) -> Tensor:
    """Half-precision outputs in float32: a mean over many rows needs its digits and its range."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def exact(values: Tensor) -> Tensor:
    """Return values in float64, where the device knows it: Apple's does not."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def columns(values: Tensor) -> Tensor:
    """Return ``[N, D]`` of ``[N, D]`` or ``[N]``."""
    return values[:, None] if values.ndim == 1 else values


def class_logits(outputs: Tensor) -> Tensor:
    """Logits ``[N, C]`` of classes; a single column ``[N]`` or ``[N, 1]`` is class 1 against 0.

    >>> class_logits(torch.tensor([3.0]))
    tensor([[0., 3.]])
    """
    if outputs.ndim == 2 and outputs.shape[1] != 1:
        return outputs
    column = outputs.reshape(-1, 1)
    return torch.cat([torch.zeros_like(column), column], dim=1)


def check_class_logits(outputs: Tensor, task: str) -> None:
    """Expect floating point of shape ``[N, C]`` or ``[N]``; else raise :class:`DataError`."""
    fits = outputs.ndim == 1 or (outputs.ndim == 2 and outputs.shape[1] > 0)
    if not fits or not outputs.is_floating_point():
        raise DataError(
            f"{task} logits: expected floating point of shape [N, C] with at least one class, or "
            f"[N] for two, got {form(outputs)}"
        )


def check_classes(
    y: Tensor, num_rows: int, num_classes: int, ignored: int | None, task: str
) -> None:
    """Expect int64 ``[N]`` or ``[N, 1]`` of class numbers; else raise :class:`DataError`."""
    if y.shape not in ((num_rows,), (num_rows, 1)) or y.dtype != torch.int64:
        raise DataError(
            f"{task} targets: expected int64 of shape [{num_rows}] (one class number per row of "
            f"the logits), got {form(y)}{_as_classes(y, num_rows)}"
        )
    known = known_classes(y, ignored)
    if known.any():
        lowest, highest = (int(value) for value in y[known].aminmax())
        if lowest < 0 or highest >= num_classes:
            raise DataError(
                f"{task} targets: expected class numbers from 0 to {num_classes - 1} (the logits "
                f"tell {num_classes} classes), got {lowest} to {highest}"
                f"{_unless(y[known], num_classes, ignored)}"
            )


def _as_classes(y: Tensor, num_rows: int) -> str:
    """Say how labels of another form become class numbers, where that is known."""
    if y.ndim == 2 and len(y) == num_rows and y.shape[1] > 1:
        return "; y.argmax(1) makes class numbers of columns with one 1 in each row"
    if y.shape in ((num_rows,), (num_rows, 1)) and not y.is_complex():
        return "; y.long() makes class numbers of whole ones"
    return ""


def _unless(y: Tensor, num_classes: int, ignored: int | None) -> str:
    """Say what to do about labels that are no class."""
    odd = {int(label) for label in torch.unique(y[(y < 0) | (y >= num_classes)])}
    lowest, highest = (int(value) for value in y.aminmax())
    if (lowest, highest) == (1, num_classes):
        return "; classes are numbered from 0"
    if len(odd) == 1 and ignored is None:
        return f"; ignore_label={odd.pop()} leaves such rows out"
    return f"; a network that tells them has {highest + 1} outputs" if lowest >= 0 else ""


def known_classes(y: Tensor, ignored: int | None) -> Tensor:
    """Say which labels are not the ignored one, bool of the shape of ``y``."""
    return torch.ones_like(y, dtype=torch.bool) if ignored is None else y != ignored


def require_logits(logits: Tensor, expected: tuple[int, ...]) -> None:
    """Raise unless ``logits`` have the ``expected`` shape and hold no NaN.

    Raises:
        ParameterError: another shape.
        NonFiniteError: a logit is NaN.
    """
    if logits.shape != expected:
        raise ParameterError(
            f"logits of shape {tuple(logits.shape)} do not fit: the targets and the number of "
            f"classes ask for {tuple(expected)}"
        )
    if logits.isnan().any():
        raise NonFiniteError("logits hold NaN: no metric can be computed from them")


def ranking_scores(logits: Tensor) -> Tensor:
    """Map logits to numbers between 0 and 1 in the same order, float64.

    torchmetrics takes scores of a batch that all lie in [0, 1] for probabilities, and puts others
    through a sigmoid: batches would not compare. Nor does this map round large logits to 1, as a
    sigmoid would.

    >>> ranking_scores(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.2500, 0.5000, 0.7500], dtype=torch.float64)
    """
    return 0.5 + 0.5 * torch.nn.functional.softsign(exact(logits))


def form(tensor: Tensor) -> str:
    """Describe a tensor.

    >>> form(torch.zeros(2, 3))
    'float32 of shape [2, 3]'
    """
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"
