"""Where each key of a TOML document stands, which the standard library's parser does not tell."""

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t]|\r?\n|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # a multi-line string may end in two quotes of its own
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_PLAIN_VALUE = re.compile(r"[^,\]}#\n]*")


def key_lines(text: str) -> dict[Path, int]:
    r"""Line (from 1) of every key, table and list element of a valid TOML document.

    >>> key_lines('a = 1\n[b]\nc = [{d = 2}]')
    {('a',): 1, ('b',): 2, ('b', 'c'): 3, ('b', 'c', 0): 3, ('b', 'c', 0, 'd'): 3}
    """
    return _Scanner(text).lines


class _Scanner:
    """Walks a document that ``tomllib`` has already accepted."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[Path, int] = {}
        self._lengths: dict[Path, int] = {}  # of the arrays of tables
        table: Path = ()
        for _ in self._until_end():
            table = self._statement(table)

    def _until_end(self) -> Iterator[None]:
        self._skip(_SPACE)
        while self.position < len(self.text):
            yield
            self._skip(_SPACE)

    def _statement(self, table: Path) -> Path:
        if self._accept("[["):
            return self._header(close="]]", repeated=True)
        if self._accept("["):
            return self._header(close="]", repeated=False)
        self._pair(table)
        return table

    def _header(self, close: str, repeated: bool) -> Path:
        *parents, last = self._key()
        path: Path = ()
        for part in parents:
            path = (*path, part)
            self._mark(path)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        path = (*path, last)
        self._mark(path)
        if repeated:
            index = self._lengths.get(path, 0)
            self._lengths[path] = index + 1
            path = (*path, index)
            self._mark(path)
        self._skip(_SPACE)
        self._accept(close)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for part in self._key():
            path = (*path, part)
            self._mark(path)
        self._skip(_SPACE)
        self._accept("=")
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            quoted = _STRING.match(self.text, self.position)
            if quoted:
                parts.append(quoted.group()[1:-1])
                self.position = quoted.end()
            else:
                parts.append(self._skip(_BARE_KEY))
            self._skip(_SPACE)
            if not self._accept("."):
                return parts

    def _value(self, path: Path) -> None:
        if self._accept("["):
            for index, _ in enumerate(self._items("]")):
                self._mark((*path, index))
                self._value((*path, index))
        elif self._accept("{"):
            for _ in self._items("}"):
                self._pair(path)
        elif not self._skip(_STRING):
            self._skip(_PLAIN_VALUE)

    def _items(self, close: str) -> Iterator[None]:
        self._skip(_SPACE)
        while not self._accept(close):
            yield
            self._skip(_SPACE)
            self._accept(",")
            self._skip(_SPACE)

    def _mark(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, self.position) + 1)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match.group()

    def _accept(self, token: str) -> bool:
        found = self.text.startswith(token, self.position)
        if found:
            self.position += len(token)
        return found
