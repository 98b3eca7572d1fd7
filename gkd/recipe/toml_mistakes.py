"""What is probably meant where a recipe is no TOML, of which the parser says where alone."""

import re

_BARE = re.compile(r"[^\s,\[\]{}#=\"'][^,\[\]{}#=\"'\n]*")
_WORDS = {"true": "true", "false": "false", "yes": "true", "no": "false"}
_NOTHING = ("none", "null", "nil", "nan")
_POINT = re.compile(r"[+-]?\.\d[\d_]*")
_UNCLOSED = re.compile("(Unterminated string)|Expected \"'('')?\"")  # words of the parser
_LONGEST = 100  # characters of a value
_COMMAS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


def described(words: str, text: str) -> tuple[str, str]:
    """Return where a parser found that ``text`` is no TOML, and what to write instead.

    Args:
        words: of the parser, with the place in parentheses behind.
        text: of the document.

    Returns:
        Line and column as editors jump to, ``":3:5"``, where they are known; a sentence.

    >>> described("Invalid value (at line 1, column 9)", "title = A small network")
    (':1:9', 'text stands in quotes: "A small network"')
    """
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", words, re.S)
    if found is None:
        return "", words
    what = found[1]
    if found[2] is None:
        number = _open_quote(what, text)
        return (f":{number}", "a quote is not closed") if number else ("", words)
    lines = text.split("\n")
    number, column = int(found[2]), int(found[3])
    line = lines[number - 1] if number <= len(lines) else ""
    return f":{number}:{column}", _advice(what, line, column - 1) or what


def _advice(what: str, line: str, at: int) -> str | None:
    """Say what to write in a line; None where nothing is known but the parser's words."""
    key, equals, value = line.partition("=")
    rest, value = line[at:], value.partition("#")[0].strip()
    if what.startswith("Illegal character '\\n'"):
        return "a quote is not closed"
    if what.startswith("Unescaped '\\'"):
        return "a backslash in double quotes is written twice; in single quotes, once"
    if what.startswith(("Cannot overwrite", "Cannot declare", "Cannot mutate")):
        return f"{key.strip().strip('[]') if equals else line.strip()} is there already"
    if what.startswith("Unclosed inline table"):
        return "a table in { } stands in one line, without a comma before }"
    if what.startswith("Expected '='"):
        return "a key and its value have an equals sign between them: epochs = 3"
    if what.startswith("Invalid statement"):
        return "a line is a key, an equals sign and a value, or a [table]"
    if what.startswith("Invalid value"):
        return _value(rest)
    if what.startswith("Expected newline"):
        if _COMMAS.fullmatch(value):
            return f"a number has no commas: {value.replace(',', '')}"
        if re.fullmatch(r"0\d+", value):
            return f"a number does not begin with 0: {value.lstrip('0') or 0}"
        if _BARE.fullmatch(value):
            return _quoted(value)
    return None


def _value(rest: str) -> str | None:
    """Say what is wrong with the value that a line goes on with."""
    if not rest.strip() or rest.lstrip()[0] in ",]}#":
        return "a value is missing"
    bare = _BARE.match(rest)
    if bare is None:
        return None
    word = bare[0].strip()
    if word.lower() in _WORDS:
        return f"{word} is written {_WORDS[word.lower()]}"
    if word.lower() in _NOTHING:
        return f"there is no {word} in TOML: leave the key out"
    if _POINT.fullmatch(word):
        return f"a number has a digit before its point: {word.replace('.', '0.')}"
    return _quoted(word)


def _quoted(text: str) -> str:
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f'text stands in quotes: "{shown}"'


def _open_quote(what: str, text: str) -> int | None:
    """Return the number of the line whose quote is open at the end; None where none is."""
    found = _UNCLOSED.fullmatch(what)
    if found is None:
        return None
    quote = '"""' if found[1] else "'''"
    # Nothing behind the quotes that begin a text of several lines ends it.
    begins = text.rfind(quote) if text.count(quote) % 2 else len(text)
    return 1 + text.count("\n", 0, begins)
