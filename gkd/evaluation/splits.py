"""Whether the splits of a dataset are apart: nothing that is tested on may have been trained on."""

import hashlib
from collections.abc import Iterator, Sequence

from gkd.data import AbstractDataset, Sample
from gkd.data.rows import Rows
from gkd.errors import DataError, suggestion
from gkd.files import checksum

SPLITS = ("train", "validation", "test")


def require_separate_splits(dataset: AbstractDataset, splits: Sequence[str] = SPLITS) -> None:
    """Make sure that no row is in two of these splits.

    A row is known by its number in ``n_id``, where a sample has that; otherwise by its place in a
    sample whose inputs have this content.

    Raises:
        DataError: a row is in two splits, or the dataset has ``rows`` for some splits only.
    """
    if dataset.rows and (unknown := [name for name in dataset.rows if name not in SPLITS]):
        raise DataError(f"rows: no split {unknown[0]!r}; {suggestion(unknown[0], SPLITS)}")
    if dataset.rows and (missing := [name for name in SPLITS if name not in dataset.rows]):
        raise DataError(
            f"rows: says nothing of {missing[0]!r}; a dataset of rows names those of all of "
            f"{', '.join(SPLITS)}, 'all' where they are all rows of the split's samples"
        )
    owners: dict[object, str] = {}
    for split in splits:
        for sample, row, name in _rows(dataset, split):
            owner = owners.setdefault(name, split)
            if owner != split:
                part = f"row {row} of sample" if dataset.rows else "sample"
                raise DataError(
                    f"{part} {sample.id!r} is in {owner} and again in {split}: what is tested on "
                    "must not have been trained on"
                )


def fingerprint(dataset: AbstractDataset, splits: Sequence[str] = SPLITS) -> str:
    """Return a short name of the content of these splits, of the training split in epoch 0.

    It tells whether a run goes on with the data that it began with.
    """
    dataset.set_epoch(0)
    digest = hashlib.sha256()
    for split in splits:
        samples = getattr(dataset, split)
        digest.update(f"{split} {len(samples)}".encode())
        for sample in (samples[index] for index in range(len(samples))):
            digest.update(checksum(dict(sample.items())).encode())
    return digest.hexdigest()[:16]


def _rows(dataset: AbstractDataset, split: str) -> Iterator[tuple[Sample, int, object]]:
    """Yield every row of a split, or every sample where splits are of samples, with a name."""
    samples = getattr(dataset, split)
    for sample in (samples[index] for index in range(len(samples))):
        content = checksum({n: t for n, t in sample.items() if n in dataset.inputs})
        if not dataset.rows:
            yield sample, 0, content
            continue
        taken = Rows.parse(dataset.rows[split]).of(sample, len(sample.y))
        rows = range(len(sample.y)) if taken is None else taken.tolist()
        nodes = sample.n_id.tolist() if "n_id" in sample else None
        for row in rows:
            yield sample, row, (content, row) if nodes is None else nodes[row]
