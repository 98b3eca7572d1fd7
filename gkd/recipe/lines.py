"""Where each key of a TOML document stands, which the standard library's parser does not tell."""

import tomllib
from collections import Counter
from typing import Any

Path = tuple[str | int, ...]
_MOST = 2**19  # characters to parse, over all attempts


def key_lines(text: str) -> dict[Path, int]:
    r"""Line (from 1) of every table, key and element of an array that begins a line of its own.

    What stands inside a line is in the line of the innermost path around it that is listed. In a
    document of very long statements, what comes after them is not.

    >>> key_lines('a = 1\n[b]\nc = [\n  {d = 2},\n  {d = 3}]')
    {('a',): 1, ('b',): 2, ('b', 'c'): 3, ('b', 'c', 0): 4, ('b', 'c', 1): 5}
    """
    lines: dict[Path, int] = {}
    lengths: Counter[Path] = Counter()  # of the arrays of tables, as far as they were read
    table: Path = ()
    statement, start, read = "", 1, 0
    for number, line in enumerate(text.split("\n"), start=1):
        statement += f"{line}\n"
        # The parser itself says where a statement ends: an unfinished one does not parse. Inside
        # an array, it parses after each element once the bracket is closed.
        read += len(statement)
        if read > _MOST:  # an array of thousands of lines, each of which is read once more
            break
        whole = _parse(statement)
        value: Any = _parse(f"{statement}]") if whole is None else whole
        if value is None:
            continue
        header = statement.lstrip().startswith("[")
        path = () if header else table
        while isinstance(value, dict) and len(value) == 1:
            ((key, value),) = value.items()
            path = (*path, key)
            lines.setdefault(path, start)
            lengths[path] += header and value == [{}]
            if header and lengths[path]:  # its newest table, whose number is one less
                path = (*path, lengths[path] - 1)
                lines.setdefault(path, start)
        if header:
            table = path
        elif isinstance(value, list):
            for index in range(len(value)):
                lines.setdefault((*path, index), start)
        statement, start = statement if whole is None else "", number + 1
    return lines


def _parse(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
