"""Figures that are drawn once: they take most of the time of a page, and few show its damage."""

import contextlib
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType
from typing import IO, Any
from unittest.mock import patch

import matplotlib
from matplotlib.figure import Figure
from pydantic import BaseModel

from gkd.report import figures, html, outputs, style
from gkd.report.results import Results

_Path = tuple[str | int, ...]
_SETTINGS = ("svg.fonttype", "svg.hashsalt")
_Draw = Callable[[Results], Figure | None]


@contextlib.contextmanager
def kept_drawings() -> Iterator[None]:
    """Draw anew only figures that see anything else in the results than the first one saw."""
    drawn = {name: (_kept(name, draw), text) for name, (draw, text) in html._FIGURES.items()}
    differences = _kept("differences", figures.differences)
    # A figure of its own: one that was written has other margins in the next file.
    picture = _kept("picture", outputs.feature_space_figure)
    own = style.save

    def save(figure: Figure | _KeptFigure, *options: Any, **more: Any) -> None:
        write = figure.save if isinstance(figure, _KeptFigure) else partial(own, figure)
        write(*options, **more)

    with (
        patch.object(style, "save", save),
        patch.object(outputs, "save", save),
        patch.dict(html._FIGURES, drawn),
        patch.object(figures, "differences", differences),
        patch.object(outputs, "feature_space_figure", picture),
    ):
        yield


class _KeptFigure:
    """A figure, with what is in the file that it was written to."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._written: tuple[str, bytes] | None = None

    def save(self, target: Path | IO[bytes], *options: Any, **more: Any) -> None:
        """Write the file, as the figure does or as it did."""
        asked = repr((options, more, [matplotlib.rcParams[name] for name in _SETTINGS]))
        if self._written is None:
            buffer = io.BytesIO()
            style.save(self._figure, buffer, *options, **more)
            self._written = asked, buffer.getvalue()
        assert self._written[0] == asked
        if isinstance(target, Path):
            target.write_bytes(self._written[1])
        else:
            target.write(self._written[1])


class _Drawing:
    """What draws a figure, with the first that it has drawn and all that it saw of the results."""

    def __init__(self, draw: _Draw) -> None:
        self._draw = draw
        self._seen: dict[_Path, str] = {}
        self._figure: _KeptFigure | None = None

    def __call__(self, run: Results) -> Any:
        if not self._seen:
            seen: dict[_Path, str] = {}
            figure = self._draw(_watched(run, (), seen))
            self._seen, self._figure = seen, None if figure is None else _KeptFigure(figure)
        # What it sees decides what it looks at next: equal so far, it goes on to the same.
        elif any(_words(_at(run, path)) != words for path, words in self._seen.items()):
            return self._draw(run)
        return self._figure


_DRAWINGS: dict[str, _Drawing] = {}


def _kept(name: str, draw: _Draw) -> _Drawing:
    return _DRAWINGS.setdefault(name, _Drawing(draw))


class _Watched:
    """A model that notes what is read of it."""

    def __init__(self, model: BaseModel, path: _Path, seen: dict[_Path, str]) -> None:
        self._all = model, path, seen

    def __getattr__(self, name: str) -> Any:
        model, path, seen = self._all
        own = getattr(type(model), name, None)
        if isinstance(own, property):
            assert own.fget is not None
            return own.fget(self)
        if isinstance(own, FunctionType):
            return MethodType(own, self)
        return _watched(getattr(model, name), (*path, name), seen)


def _watched(value: Any, path: _Path, seen: dict[_Path, str]) -> Any:
    seen[path] = _words(value)
    if isinstance(value, BaseModel):
        return _Watched(value, path, seen)
    if _of_models(value):
        if isinstance(value, dict):
            return {key: _watched(part, (*path, key), seen) for key, part in value.items()}
        return [_watched(part, (*path, place), seen) for place, part in enumerate(value)]
    return value


def _at(value: Any, path: _Path) -> Any:
    for step in path:
        value = getattr(value, str(step)) if isinstance(value, BaseModel) else value[step]
    return value


def _words(value: Any) -> str:
    """Return a text that is equal for what looks alike; of models alone which there are."""
    if isinstance(value, BaseModel):
        return type(value).__name__
    if _of_models(value):
        return repr([*value] if isinstance(value, dict) else [*map(_words, value)])
    return repr(value)


def _of_models(value: object) -> bool:
    parts = value.values() if isinstance(value, dict) else value
    return isinstance(value, list | dict) and any(isinstance(part, BaseModel) for part in parts)
