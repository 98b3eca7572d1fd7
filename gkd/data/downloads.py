"""Whether data sets may fetch what they lack, or are only looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_allowed: ContextVar[bool] = ContextVar("gkd_downloads", default=True)


def may_download() -> bool:
    """Whether a data set may fetch its files now; one that may not says how to get them.

    >>> may_download()
    True
    """
    return _allowed.get()


@contextmanager
def without_downloads() -> Iterator[None]:
    """Keep data sets that are made inside from fetching anything, as a check does.

    >>> with without_downloads():
    ...     may_download()
    False
    """
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)
