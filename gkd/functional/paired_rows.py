"""What a loss compares of two networks: rows of the same nodes, their samples, their directions."""

import math

import torch
from torch import Tensor

from gkd.errors import ParameterError


def paired_logits(student: Tensor, teacher: Tensor, loss: str) -> tuple[Tensor, Tensor]:
    """Logits ``[N, C]`` of both networks, at least float32, the teacher's detached.

    Args:
        student: logits of a view.
        teacher: logits of the other.
        loss: whose name messages begin with.

    Raises:
        ParameterError: no matrices of floating point, or of different shapes.

    >>> ours, theirs = paired_logits(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.half), "kd")
    >>> theirs.dtype
    torch.float32
    """
    ours = _matrix(student, loss, "the student's logits")
    theirs = _matrix(teacher, loss, "the teacher's logits").detach()
    if ours.shape != theirs.shape:
        raise ParameterError(
            f"{loss}: expected logits of equal shapes [N, C], got {list(ours.shape)} from the "
            f"student and {list(theirs.shape)} from the teacher"
        )
    return ours, theirs


def paired_features(student: Tensor, teacher: Tensor, loss: str) -> tuple[Tensor, Tensor]:
    """Features ``[N, F]`` and ``[N, F']`` of both, at least float32, the teacher's detached.

    Args:
        student: features of a view.
        teacher: features of the other.
        loss: whose name messages begin with.

    Raises:
        ParameterError: no matrices of floating point, or of different numbers of nodes.
    """
    ours = _matrix(student, loss, "the student's features")
    theirs = _matrix(teacher, loss, "the teacher's features").detach()
    if len(ours) != len(theirs):
        raise ParameterError(
            f"{loss}: expected features of the same nodes, got {len(ours)} rows from the student "
            f"and {len(theirs)} from the teacher"
        )
    return ours, theirs


def _matrix(values: Tensor, loss: str, what: str) -> Tensor:
    if values.ndim != 2 or values.shape[1] == 0 or not values.is_floating_point():
        raise ParameterError(
            f"{loss}: expected {what} as floating point of shape [N, channels] with at least one "
            f"channel, got {values.dtype} of shape {list(values.shape)}"
        )
    # Half precision has neither the range for squares nor the digits for means over many nodes.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def sample_pointer(
    student: Tensor | None, teacher: Tensor | None, features: Tensor, loss: str
) -> Tensor:
    """Row pointer ``[B+1]``: sample b owns the rows ``pointer[b]`` up to ``pointer[b+1]``.

    Samples without nodes are left out. Without a batch vector all rows are one sample.

    Args:
        student: batch vector of a view, the sample of each row, ascending; None for one sample.
        teacher: batch vector of the other.
        features: ``[N, F]``, rows of the samples.
        loss: whose name messages begin with.

    Raises:
        ParameterError: a batch vector that is not ascending, not int64 or not of length N, or
            batch vectors that tell different samples.

    >>> sample_pointer(torch.tensor([0, 0, 2]), None, torch.zeros(3, 1), "at")
    tensor([0, 2, 3])
    """
    num_nodes = len(features)
    batch = teacher if student is None else student
    if batch is None:
        return torch.tensor([0, num_nodes], device=features.device)
    if batch.shape != (num_nodes,) or batch.dtype != torch.int64:
        raise ParameterError(
            f"{loss}: expected a batch vector of int64 and shape [{num_nodes}], one sample number "
            f"per node, got {batch.dtype} of shape {list(batch.shape)}"
        )
    if not bool((batch[1:] >= batch[:-1]).all()):
        raise ParameterError(
            f"{loss}: expected an ascending batch vector, nodes of a sample in a row"
        )
    # The two views mostly carry the very same tensor, which needs no comparison.
    if teacher is not None and teacher is not batch and not torch.equal(teacher, batch):
        raise ParameterError(f"{loss}: the batch vectors of student and teacher differ")
    # Not a bincount: samples without nodes have no map, and their mean would be 0 / 0.
    sizes = torch.unique_consecutive(batch, return_counts=True)[1]
    return torch.nn.functional.pad(sizes.cumsum(0), (1, 0))


def drawn_rows(
    student: Tensor, teacher: Tensor, most: int | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return rows of both, the same ones: all, or as many as allowed, drawn where there are more.

    Args:
        student: ``[N, F]``.
        teacher: ``[N, F']``.
        most: how many rows are taken; None for all.
        generator: that draws, as a loss's step has it; not used where all are taken.
    """
    rows = drawn_places(len(student), most, generator)
    return (student, teacher) if rows is None else (student[rows], teacher[rows])


def drawn_places(count: int, most: int | None, generator: torch.Generator) -> Tensor | None:
    """Return which rows are drawn, ascending, on the device of the generator; None for all.

    Args:
        count: how many rows there are.
        most: how many are taken; None for all.
        generator: that draws, as a loss's step has it; not used where all are taken.

    >>> drawn_places(9, 3, torch.Generator().manual_seed(0))
    tensor([0, 2, 8])
    """
    if most is None or count <= most:
        return None
    order = torch.randperm(count, generator=generator, device=generator.device)
    return order[:most].sort().values


def directions(features: Tensor, dim: int) -> Tensor:
    r"""Return the vectors along ``dim`` at unit length, :math:`z / \|z\|_2`.

    A zero vector stays, and its gradient is taken as 0: a bound on the norm from below, as in
    ``torch.nn.functional.normalize``, would make it 1e12 times that of its direction.

    >>> directions(torch.tensor([[3.0, 0.0], [4.0, 0.0]]), dim=0)
    tensor([[0.6000, 0.0000],
            [0.8000, 0.0000]])
    """
    # A largest magnitude of 1 keeps the squares inside the range; the scale has no gradient.
    peak = features.detach().abs().amax(dim, keepdim=True)
    scaled = features / peak.masked_fill(peak == 0, torch.inf)
    norm = torch.linalg.vector_norm(scaled, dim=dim, keepdim=True)
    unit: Tensor = scaled / norm.masked_fill(norm == 0, 1)
    return unit


def standard_scores(values: Tensor, dim: int) -> Tensor:
    r"""Return deviations from the mean along ``dim`` in units of the standard deviation.

    .. math:: \frac{z - \bar z}{\sigma}, \qquad \sigma^2 = \frac{1}{n} \sum (z - \bar z)^2

    Where all are equal, but for rounding, they are 0, and so is the gradient.

    >>> standard_scores(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), dim=1)
    tensor([[-1.0000,  1.0000],
            [ 0.0000,  0.0000]])
    """
    deviations = values - values.mean(dim, keepdim=True)
    # Rounding of the mean must not become the unit of measure.
    rounding = 8 * torch.finfo(values.dtype).eps * values.detach().abs().amax(dim, keepdim=True)
    equal = deviations.detach().abs().amax(dim, keepdim=True) <= rounding
    return directions(deviations.masked_fill(equal, 0), dim) * math.sqrt(values.shape[dim])


def mean_over_pairs(sums: Tensor, pairs: Tensor, rows: Tensor | None = None) -> Tensor:
    """Return a value for each row, ``[N]``, whose mean is the mean over the pairs of all rows.

    Args:
        sums: over the pairs of each row, ``[N]``.
        pairs: how many each row has, ``[N]``.
        rows: int64 ``[M]``, rows over which it is the mean; None for all. A step's ``seeds`` are
            those whose pairs are there.

    >>> mean_over_pairs(torch.tensor([3.0, 1.0]), torch.tensor([3, 1]))
    tensor([1.5000, 0.5000])
    >>> mean_over_pairs(torch.tensor([3.0, 1.0]), torch.tensor([3, 0]), torch.tensor([0]))
    tensor([1.0000, 0.3333])
    """
    counted = (pairs if rows is None else pairs[rows]).to(sums.dtype)
    return sums * (len(counted) / counted.sum().clamp_min(1))


def at_least_zero(values: Tensor) -> Tensor:
    """Return ``values``, at least 0, with the gradient of ``values`` everywhere.

    For what is at least 0 but for rounding, which can leave a sum of cancelling parts just below.
    The gradient is right there, too: to clamp it would stop a student that is nearly there.

    >>> at_least_zero(torch.tensor([-1e-9, 0.5]))
    tensor([0.0000, 0.5000])
    """
    return values + (values.clamp_min(0) - values).detach()


def not_built(loss: str, parts: str) -> ParameterError:
    """Return what a loss raises whose learned parts are asked for before they are made.

    Args:
        loss: whose name the message begins with.
        parts: what is missing, with its verb: ``"the maps do"``.

    >>> not_built("crd", "the maps do").args[0]
    "crd: the maps do not exist yet; call build(student, teacher), or the distiller's \
prepare(batch), before training"
    """
    return ParameterError(
        f"{loss}: {parts} not exist yet; call build(student, teacher), or the distiller's "
        "prepare(batch), before training"
    )


def require_widths(loss: str, built: tuple[int, int], student: Tensor, teacher: Tensor) -> None:
    """Check that features are as wide as those that a loss's learned parts were made for.

    Args:
        loss: whose name messages begin with.
        built: widths of student and teacher.
        student: ``[N, F]``.
        teacher: ``[N, F']``.

    Raises:
        ParameterError: they are not.

    >>> require_widths("crd", (3, 4), torch.zeros(2, 3), torch.zeros(2, 5))
    Traceback (most recent call last):
    gkd.errors.ParameterError: crd: built for features of widths 3 and 4, got 3 from the student \
and 5 from the teacher
    """
    if built != (student.shape[1], teacher.shape[1]):
        raise ParameterError(
            f"{loss}: built for features of widths {built[0]} and {built[1]}, got "
            f"{student.shape[1]} from the student and {teacher.shape[1]} from the teacher"
        )
