"""The mistakes gkd can explain; the command line prints them and exits with 2."""

from collections.abc import Iterable
from difflib import get_close_matches


class GkdError(Exception):
    """Base of every error whose message tells the user what to do."""


class UnknownNameError(GkdError, LookupError):
    """A name that no plugin, tap or recipe provides."""


class ParameterError(GkdError, ValueError):
    """An unknown, missing or mistyped parameter, or a value out of its range."""


class PluginError(GkdError):
    """A plugin that cannot be used, or two that offer one name."""


class TapError(GkdError, LookupError):
    """A tap that does not exist, never fires or yields no usable tensor."""


class NonFiniteError(GkdError, ArithmeticError):
    """NaN or infinity where a finite number is required."""


class RecipeError(GkdError, ValueError):
    """A recipe that does not parse or does not validate."""


class DataError(GkdError, ValueError):
    """Data that is missing, truncated, foreign or inconsistent."""


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Sentence naming the nearest of ``choices``, or all of them when none is near.

    >>> suggestion("lps", ["lsp", "kd"])
    "did you mean 'lsp'? Available: kd, lsp"
    >>> suggestion("zzz", ["lsp", "kd"])
    'available: kd, lsp'
    """
    known = sorted(choices)
    if not known:
        return "none is available"
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    listing = ", ".join(known)
    return f"did you mean {near[0]!r}? Available: {listing}" if near else f"available: {listing}"
