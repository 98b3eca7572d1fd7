"""One batch, and what a teacher cache keeps of its samples."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from gkd.cache.digest import sample_digests
from gkd.cache.entries import Pieces, TeacherTerms
from gkd.cache.slices import joined_views, split_view
from gkd.cache.store import Shelf
from gkd.distillation.batch_attributes import tensor_attribute
from gkd.distillation.network_outputs import network_outputs
from gkd.errors import DataError, ParameterError
from gkd.loss import View


class BatchRequest:
    """One batch, and what is kept of its samples.

    Args:
        shelf: of the teacher.
        batch: with ``ids`` and ``ptr``.
        inputs: of the teacher, by name.
        terms: of the teacher.

    Raises:
        ParameterError: the batch does not name its samples.
        DataError: a sample is not what it was.
    """

    def __init__(
        self, shelf: Shelf, batch: object, inputs: Mapping[str, object], terms: TeacherTerms
    ) -> None:
        self.shelf, self.batch, self.inputs, self.terms = shelf, batch, inputs, terms
        self.ptr = _pointer(batch)
        self.ids = _ids(batch, len(self.ptr) - 1)
        digests = sample_digests(
            {**inputs, **_graphs(batch, inputs, terms)},
            self.ptr,
            getattr(batch, "edge_index", None),
        )
        self.samples = [
            shelf.sample(id, digest) for id, digest in zip(self.ids, digests, strict=True)
        ]

    def known(self) -> Pieces | None:
        """Return what all terms need of the batch, None where part of it is not kept."""
        chosen = self._choice()
        if chosen is None and self.shelf.files is not None:
            for id in self.ids:
                self.shelf.look_for(id, self.terms.possible())
            chosen = self._choice()
        if chosen is None:
            return None
        known = {}
        for name in chosen:
            parts = [self.shelf.piece(id, name) for id in self.ids]
            there = [part for part in parts if part is not None]
            if len(there) < len(parts):
                return None
            known[name] = joined_views(there)
        return known

    def run(self, teacher: nn.Module) -> Pieces:
        """Return the pieces that the teacher gives for the batch now."""
        outputs = network_outputs(teacher, self.inputs, self.terms.taps)
        return self.terms.pieces(self.batch, outputs)

    def new_parts(self, pieces: Pieces) -> Iterator[tuple[str, dict[str, View]]]:
        """Yield the id of each sample, and of its pieces those that are not kept yet."""
        split = {
            name: split_view(piece, self.ptr, self._place(name)) for name, piece in pieces.items()
        }
        for index, (id, sample) in enumerate(zip(self.ids, self.samples, strict=True)):
            yield id, {name: s[index] for name, s in split.items() if name not in sample.pieces}

    def check_independence(self, teacher: nn.Module, known: Pieces) -> None:
        """Compare with the teacher what was kept of samples in other company, once per piece.

        Raises:
            ParameterError: they differ.
        """
        unsure = [
            name
            for name in known
            if name not in self.shelf.independent
            and any(sample.pieces[name].company != self.ids for sample in self.samples)
        ]
        if not unsure:
            return
        run = self.run(teacher)
        for name in unsure:
            if name in run:
                _require_equal(known[name], run[name], self.terms.taps.name)
        self.shelf.independent.update(unsure)

    def _place(self, name: str) -> str:
        kind, _, tap = name.partition(":")
        return f"{self.terms.taps.name}: {f'tap {tap!r}' if kind == 'features' else name}"

    def _choice(self) -> Sequence[str] | None:
        available = set.intersection(*(set(sample.pieces) for sample in self.samples))
        return self.terms.choice(available)


def _pointer(batch: object) -> Tensor:
    try:
        return tensor_attribute(batch, "ptr", "teacher cache")
    except DataError as error:
        raise DataError(
            f"{error}; it needs the samples' names, 'ids', and where the nodes of each begin, "
            "'ptr' ([0, N] for a single sample), as gkd.collate makes them"
        ) from None


def _ids(batch: object, num_samples: int) -> tuple[str, ...]:
    ids = tuple(getattr(batch, "ids", ()))
    if len(ids) != num_samples:
        raise ParameterError(
            f"teacher cache: the batch ({type(batch).__name__}) has {num_samples} samples and "
            f"{len(ids)} 'ids'; name the samples or pass teacher_cache=None"
        )
    return ids


def _graphs(batch: object, inputs: Mapping[str, object], terms: TeacherTerms) -> dict[str, Tensor]:
    """Edges that targets lie on, where they are not among the inputs anyway."""
    edges = {name: getattr(batch, name, None) for name in terms.graphs if name not in inputs}
    return {f"{name}: edge_index": e for name, e in edges.items() if isinstance(e, Tensor)}


def _require_equal(kept: View, run: View, name: str) -> None:
    for field in ("logits", "features", "edge_values"):
        ours, theirs = getattr(kept, field), getattr(run, field)
        if ours is None or theirs is None:
            continue
        # Means, because a near-tie between neighbours may fall differently in another batch; and
        # no more digits than outputs have, which targets in double precision are made of.
        digits = max(torch.finfo(theirs.dtype).eps, torch.finfo(torch.float32).eps)
        if (ours - theirs).abs().mean() > digits**0.5 * theirs.abs().mean():
            raise ParameterError(
                f"teacher cache: the outputs of the {name} for a sample depend on the other "
                "samples in the batch, so they cannot be kept; pass teacher_cache=None"
            )
