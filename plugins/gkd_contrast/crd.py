"""CRD: Tian, Krishnan, Isola, Contrastive Representation Distillation, ICLR 2020.

https://arxiv.org/abs/1910.10699.
"""

from math import log, sqrt
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus
from torch.utils.checkpoint import checkpoint

from gkd import AbstractLoss, Paper, RowMemory, Step, View
from gkd.errors import validated
from gkd.functional.draws import uniform_draws
from gkd.functional.paired_rows import directions, not_built, paired_features, require_widths
from gkd.functional.sparse import sampled_product, sparse_product

_SIMILARITIES = 2**20  # at a time: 8 MB in float64


class CRD(AbstractLoss):
    r"""Telling the teacher's features of a node from those of other nodes, and the reverse.

    Learned linear maps take both networks' features to one space, to vectors u of unit length for
    the student and v for the teacher. Two banks keep a moving average of them for every node that
    was ever seen, :math:`\bar u` and :math:`\bar v`. A node's own entry is told from those of K
    nodes drawn from the bank, by noise-contrastive estimation:

    .. math:: \frac{1}{N} \sum_i \ell(u_i, \bar v) + \ell(v_i, \bar u), \qquad
        \ell(u_i, \bar v) = - \log h(u_i, \bar v_i) - \sum_{k=1}^K \log(1 - h(u_i, \bar v_{j_k}))

    .. math:: h(u, v) = \frac{\exp(u \cdot v / \tau)}{\exp(u \cdot v / \tau) + c K}

    with c the mean of :math:`\exp(u \cdot v / \tau)` over the first batch and the bank as it is
    drawn, which is fixed then. After a step, the entries of its nodes become
    :math:`m \bar u + (1 - m) u`, scaled to unit length.

    Nodes are known again by the batch's ``n_id`` or the names of its samples. The banks are in
    checkpoints, and the same in all processes that train together. Without gradients, or in the
    mode of evaluation, they are read and not written. Similarities are computed in blocks of nodes
    and again in the backward pass: memory is O(N·(F + F') + M·width), for M nodes in the bank.

    Args:
        width: of the common space.
        negatives: K.
        temperature: τ.
        momentum: m.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``, ``step.keys`` ``[N]``; a
        scalar results, or ``[N]`` per row.

    Raises:
        ParameterError: in the call, views without features, with different nodes, of other widths
            than those built for, or a batch that names neither nodes nor samples.

    When:
        Batches are small beside the data, so that the bank has better negatives than the batch;
        where the batch is a whole graph, G-CRD needs none.

    Source:
        Section 3.1 and the memory of Wu et al., CVPR 2018; values as in the authors' code
        (HobbitLong/RepDistiller), which takes K = 16384. There c is the mean over what is drawn in
        the first step, the bank has all samples from the beginning, and the logarithms have an
        epsilon of 1e-7.

    Example:
        >>> student = View(features=torch.randn(6, 4, requires_grad=True))
        >>> teacher = View(features=torch.randn(6, 16))
        >>> loss = CRD(width=8, negatives=3)
        >>> loss.build(student, teacher)
        >>> loss(student, teacher, step=Step.of(student, nodes=torch.arange(6))).backward()
        >>> loss.memory
        RowMemory(rows=6, width=16)
    """

    uses = ("features",)
    paper = Paper(
        "Tian, Krishnan, Isola",
        "Contrastive Representation Distillation",
        "ICLR",
        2020,
        "https://arxiv.org/abs/1910.10699",
    )
    parity = ("HobbitLong/RepDistiller",)
    zero_at_equality = False
    least_at_equality = False
    samples_apart = False
    linear_work = False  # each row is compared with all
    heads: nn.ModuleDict | None
    memory: RowMemory | None
    log_scales: Tensor

    @validated
    def __init__(
        self,
        width: PositiveInt = 128,
        negatives: PositiveInt = 1024,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 0.07,
        momentum: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.5,
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.per_row = per_row
        self.width, self.negatives = width, negatives
        self.temperature, self.momentum = temperature, momentum
        self.heads = self.memory = None
        # Logarithm of c, for the student's vectors and for the teacher's.
        self.register_buffer("log_scales", torch.zeros(2))

    def build(self, student: View, teacher: View) -> None:
        """Create maps and banks for these widths; those that exist stay, with what they hold."""
        if self.heads is not None:
            return
        ours, theirs = paired_features(
            student.require_features("crd"), teacher.require_features("crd"), "crd"
        )
        self.heads = nn.ModuleDict(
            {
                "student": nn.Linear(ours.shape[1], self.width),
                "teacher": nn.Linear(theirs.shape[1], self.width),
            }
        ).to(ours)
        spread = sqrt(3 / self.width)  # so that vectors are about 1 long
        self.memory = RowMemory(2 * self.width, spread, ours.dtype).to(ours.device)
        with torch.no_grad():
            vectors = self._vectors(ours, theirs)
            scales = [_log_mean(each, spread / self.temperature) for each in vectors]
        self.log_scales = torch.stack(scales)

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over nodes; 0 where there are none. Per row ``[N]``."""
        ours, theirs = paired_features(
            student.require_features("crd"), teacher.require_features("crd"), "crd"
        )
        keys = step.require_keys("crd")
        self._require_built(ours, theirs)
        assert self.memory is not None
        learns = self.training and torch.is_grad_enabled()
        memory = self.memory if learns else self.memory.copy()
        # Similarities over so small a temperature lose their digits in half precision.
        with torch.autocast(ours.device.type, enabled=False):
            vectors = self._vectors(ours, theirs)
            places = memory.places(step, "crd")
            banks = [bank.contiguous() for bank in torch.split(memory.values, self.width, dim=1)]
            seed = torch.randint(2**62, (1,), generator=step.generator, device=keys.device)
            sides = [
                self._errors(own, Bank(banks[1 - side], keys, places, int(seed)), side)
                for side, own in enumerate(vectors)
            ]
            value = (sides[0] + sides[1]).to(ours.dtype)
            if learns:
                self._remember(memory, places, banks, vectors)
        return value if self.per_row else value.sum() / max(len(value), 1)

    def _vectors(self, student: Tensor, teacher: Tensor) -> list[Tensor]:
        assert self.heads is not None
        pairs = zip(self.heads.values(), (student, teacher), strict=True)
        return [directions(head(z.to(_weight(head).dtype)), dim=1) for head, z in pairs]

    def _errors(self, vectors: Tensor, bank: "Bank", side: int) -> Tensor:
        """Error of telling each vector's own entry of the bank from others, ``[N]``."""
        shift = float(self.log_scales[side]) + log(self.negatives)

        def errors(vectors: Tensor, rows: Tensor) -> Tensor:
            own, others = bank.dots(vectors, rows, self.negatives)
            own, others = own / self.temperature - shift, others / self.temperature - shift
            return softplus(-own) + softplus(others).sum(dim=1)

        rows = torch.arange(len(vectors), device=vectors.device)
        size = max(1, _SIMILARITIES // self.negatives)
        blocks = zip(torch.split(vectors, size), torch.split(rows, size), strict=True)
        parts = [checkpoint(errors, *block, use_reentrant=False) for block in blocks]
        return torch.cat(parts) if parts else vectors.sum(dim=1)

    @torch.no_grad()
    def _remember(
        self, memory: RowMemory, places: Tensor, banks: list[Tensor], vectors: list[Tensor]
    ) -> None:
        moved = [
            directions(self.momentum * bank[places] + (1 - self.momentum) * own, dim=1)
            for bank, own in zip(banks, vectors, strict=True)
        ]
        memory.write(places, torch.cat(moved, dim=1))

    def _require_built(self, student: Tensor, teacher: Tensor) -> None:
        if self.heads is None:
            raise not_built("crd", "the maps do")
        ours, theirs = (_weight(head).shape[1] for head in self.heads.values())
        require_widths("crd", (ours, theirs), student, teacher)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"width={self.width}, negatives={self.negatives}, temperature={self.temperature}, "
            f"momentum={self.momentum}"
        )


class Bank(NamedTuple):
    """What vectors are compared with.

    Attributes:
        entries: ``[M, width]``.
        keys: int64 ``[N]``, of the rows of the vectors.
        places: int64 ``[N]``, their own entries.
        seed: of the draws.
    """

    entries: Tensor
    keys: Tensor
    places: Tensor
    seed: int

    def dots(self, vectors: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Dot products with the own entry, ``[n]``, and with some drawn for each row, ``[n, K]``.

        Args:
            vectors: ``[n, width]``.
            rows: int64 ``[n]``, their numbers among all.
            count: K.
        """
        own = torch.linalg.vecdot(vectors, self.entries[self.places[rows]])
        # By the row's key: what is drawn for a node depends neither on the block nor on the others.
        drawn = uniform_draws(self.keys[rows], count, self.seed) * len(self.entries)
        columns = drawn.long().clamp_(max=len(self.entries) - 1).sort(dim=1).values
        if count >= len(self.entries):  # more than a sparse matrix may hold; all are no more
            return own, (vectors @ self.entries.T).gather(1, columns)
        others: Tensor = _Dots.apply(vectors, self.entries, columns)  # type: ignore[no-untyped-call]
        return own, others


class _Dots(torch.autograd.Function):
    """Dot products of each vector with its columns of a bank, without gathering their entries."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, entries: Tensor, columns: Tensor) -> Tensor:
        count = columns.shape[1]
        pointer = torch.arange(0, columns.numel() + 1, count, device=columns.device)
        ctx.save_for_backward(entries, columns, pointer)
        return sampled_product(pointer, columns.flatten(), vectors, entries).view_as(columns)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        entries, columns, pointer = ctx.saved_tensors
        return sparse_product(pointer, columns.flatten(), grad.flatten(), entries), None, None


def _weight(head: nn.Module) -> Tensor:
    return next(head.parameters())


def _log_mean(vectors: Tensor, spread: float) -> Tensor:
    """Log of the mean of exp(u · b) over vectors u, and over b drawn evenly within ±spread."""
    if not len(vectors):
        return vectors.new_zeros(())
    # The mean over one coordinate is sinh(a) / a, for a = spread · u; in logarithms, as a is large
    # where the temperature is small.
    a = (vectors * spread).abs().clamp_min(torch.finfo(vectors.dtype).eps)
    log_means = a + torch.log(-torch.expm1(-2 * a) / (2 * a))
    return log_means.sum(dim=1).logsumexp(dim=0) - log(len(vectors))
