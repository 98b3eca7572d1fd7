"""What caused an error, in a sentence, and the line that is to be looked at."""

import inspect
import os
import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

CREATING = "while creating"  # how the note begins that says which component could not be made


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; line 0 is the file as a whole."""

    file: str = ""
    line: int = 0

    @classmethod
    def of(cls, thing: object) -> "Place":
        """Return where a function begins, or the file of any other object's module or class."""
        function = inspect.unwrap(thing) if callable(thing) else thing
        if (code := getattr(function, "__code__", None)) is not None:
            return cls(code.co_filename, code.co_firstlineno)
        module = inspect.getmodule(thing) or inspect.getmodule(type(thing))
        return cls(getattr(module, "__file__", None) or "")

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a plugin, or a part of it, cannot be used."""

    cause: str
    place: Place = Place()

    @classmethod
    def of(cls, error: BaseException, module: str, action: str = "") -> "Problem":
        """Return what ``error`` says, and the line of the package of ``module`` to be looked at.

        The sentence begins with the ``action`` that raised it.
        """
        cause = f"{action} raised {describe(error)}" if action else describe(error)
        return cls(cause, failure_place(error, module) or Place())

    @classmethod
    def of_call(cls, error: BaseException, function: object, action: str) -> "Problem":
        """Return what a call raised; without a line of its package it is at the function."""
        found = cls.of(error, getattr(function, "__module__", None) or "", action)
        return found if found.place.file else cls(found.cause, Place.of(function))

    def __str__(self) -> str:
        return f"{self.cause} [{self.place}]" if self.place.file else self.cause


def describe(error: BaseException) -> str:
    r"""Return type and first line of the message of ``error``, in one line.

    >>> describe(ValueError("two\nlines"))
    'ValueError: two'
    """
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # the plugin's own exception class is as broken as the plugin
        message = ""
    first = first_line(message)
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def first_line(message: str) -> str:
    r"""Return the first line of a message, with the next where that is what the first announces.

    >>> first_line("loading failed:\n\tsize mismatch for x\n\tsize mismatch for y")
    'loading failed: size mismatch for x'
    """
    first, _, rest = message.strip().partition("\n")
    if first.endswith(":") and rest:
        return f"{first} {rest.strip().splitlines()[0]}"
    return first


def raised_at(error: BaseException) -> Place:
    """Return the deepest line that an error passed through outside of what is installed.

    The deepest of all is often inside a library that somebody's code called wrongly.
    """
    installed = ("<", f"{sysconfig.get_path('stdlib')}{os.sep}")
    places = [place for place, _ in _lines(error)]
    own = [
        place
        for place in places
        if not place.file.startswith(installed) and "site-packages" not in place.file
    ]
    return [Place(), *places[-1:], *own][-1]


def failure_place(error: BaseException, module: str) -> Place | None:
    """Return the deepest line of the package of ``module`` that ``error`` passed through, if any.

    The deepest line of all may be inside a library that the plugin called wrongly.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return Place(error.filename, error.lineno or 0)
    root = module.partition(".")[0]
    own = [place for place, name in _lines(error) if name.partition(".")[0] == root]
    return own[-1] if own else None


def _lines(error: BaseException) -> Iterator[tuple[Place, str]]:
    """Yield the lines that an error passed through, the deepest last, and the module of each."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield Place(frame.f_code.co_filename, line), str(frame.f_globals.get("__name__"))
