"""Packages that some backends need, and that need not be there."""

from typing import TypeVar

from gkd import ParameterError

Found = TypeVar("Found")


def usable(found: Found | Exception, backend: str, how: str) -> Found:
    """Return what a backend needs.

    Args:
        found: it, or why it cannot be imported.
        backend: name of the backend.
        how: to install it.

    Raises:
        ParameterError: it cannot be imported.
    """
    if isinstance(found, Exception):
        raise ParameterError(
            f"knn: backend {backend!r} is not usable ({found}); {how}, or take backend 'torch'"
        )
    return found
