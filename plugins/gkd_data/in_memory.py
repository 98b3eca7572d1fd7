"""The base of all datasets here: three splits, assigned like any other attribute."""

from collections.abc import Sequence

from gkd import AbstractDataset, Sample


class InMemoryDataset(AbstractDataset):
    """Base of datasets that are read or generated when they are made; assigns nothing itself.

    A constructor assigns ``train``, ``validation`` and ``test``, beside ``task``, ``num_features``
    and the other attributes of an :class:`~gkd.AbstractDataset`.
    """

    # Plain attributes in the place of abstract properties, which nothing could be assigned to.
    train: Sequence[Sample] = ()
    validation: Sequence[Sample] = ()
    test: Sequence[Sample] = ()
