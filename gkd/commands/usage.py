"""What is said to a command line that no command takes: what was wrong, and what to write."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from gkd.errors import OTHER_WORDS, nearest, suggestion

# What click calls so; typer brings it along, in some versions under a name of its own.
UsageError: type[Exception] = typer.BadParameter.mro()[1]

_DEVICES = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda", "mps": "mps"}
_METHODS = (
    "a run trains all methods of its recipe: copy it, gkd recipes show NAME > mine.toml, and leave "
    "out those that you do not want"
)
_OWN_NAMES = {"methods": "methods.NAME", "terms": "terms.0", "peers": "peers.NAME"}


def explained(error: Any, arguments: Sequence[str]) -> str:
    """Return what a user is told of an error in the use of the command line.

    Args:
        error: a ``UsageError``.
        arguments: that were given.
    """
    context = error.ctx
    if context is None:
        return str(error.format_message())
    option = getattr(error, "option_name", None)
    parameter = getattr(error, "param", None)
    if option is not None and hasattr(error, "possibilities"):
        sentence = _no_option(option, context.command, arguments)
    elif parameter is not None and (values := _values(parameter.opts, arguments)):
        sentence = _wrong_value(parameter.opts[0], error.message, values)
    else:
        sentence = _by_words(error.format_message(), context, arguments)
    path = context.command_path
    return f"{path}: {sentence}\n  what it takes: {path} --help"


def _no_option(option: str, command: Any, arguments: Sequence[str]) -> str:
    """Say what to write in place of an option that a command has not."""
    missing = f"no option {option}"
    if hasattr(command, "commands"):
        names = ", ".join(sorted(command.commands))
        return f"{missing}; a command stands first, then its options: {names}"
    word = option.strip("-").replace("-", "_").lower()
    options = [name for one in command.params for name in one.opts if name.startswith("--")]
    known = {name.removeprefix("--"): name for name in options}
    value = next(iter(_values([option], arguments)), "VALUE")
    if "device" in known and word.removesuffix("s") in _DEVICES:
        number = f" --devices {value}" if value.isdigit() and "devices" in known else ""
        return f"{missing}: write --device {_DEVICES[word.removesuffix('s')]}{number}"
    if "seed" in known and word == "seeds":
        return f"{missing}: write --seed, once for each: --seed 0 --seed 1"
    if "set" in known and word in ("method", "methods"):
        return f"{missing}: {_METHODS}"
    keys = _keys() if "set" in known else {}
    key = "seeds" if word == "seed" and keys else nearest(word, keys)
    value = f"[{value}]" if key == "seeds" else value
    in_place = f"{missing}: it is a key of recipes, --set {keys[key]}={value}" if key else ""
    if key and (word in (key, "seed") or word.replace("_", "") in OTHER_WORDS.get(key, ())):
        return in_place
    if (near := nearest(word.replace("_", "-"), known)) is not None:
        return f"{missing}: did you mean {known[near]}?"
    return in_place or f"{missing}; available: {', '.join(sorted(options))}"


def _keys() -> Mapping[str, str]:
    """Return where on the command line the keys of a recipe are set, of equal ones the topmost."""
    from gkd.recipe.model import Recipe
    from gkd.recipe.origins import tables

    found = {"root": "dataset.root", "file": "dataset.file", "dataset": "dataset.name"}
    found |= {"teacher": "teacher.name", "student": "student.name"}
    for table, keys in sorted(tables(Recipe), key=lambda one: len(one[0])):
        above = [_OWN_NAMES.get(name, name) for name in table]
        for key in keys:
            found.setdefault(key, ".".join([*above, key]))
    return found


def _values(options: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return what the command line gives for an option, whatever it is called."""
    given = []
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            following = arguments[place + 1 : place + 2]
            given += [value] if equals else [one for one in following if not one.startswith("-")]
    return given


def _wrong_value(option: str, words: str, values: Sequence[str]) -> str:
    several = [re.fullmatch(r"\[?(\d+(?:[,;: ]+\d+)+)\]?", value) for value in values]
    if option == "--seed" and (found := next(filter(None, several), None)):
        return f"{option} takes one number: write {_seeds(re.findall(r'[0-9]+', found[1]))}"
    got = f", got {', '.join(map(repr, values))}"
    return f"{option}: {words[:1].lower()}{words[1:]}{got}"


def _by_words(words: str, context: Any, arguments: Sequence[str]) -> str:
    """Add to what typer says what to do, where its words tell no more than what is wrong."""
    plain = f"{words[:1].lower()}{words[1:]}".rstrip(".")
    if unknown := re.match(r"No such command '(.+?)'", words):
        commands = context.command.commands
        alone = f"; {context.command_path} alone: {context.command.help}" if context.parent else ""
        return f"no such command {unknown[1]!r}: {suggestion(unknown[1], commands)}{alone}"
    if extra := re.search(r"extra arguments?(?:\(s\))? \((.*)\)$", words):
        given = extra[1].split()
        options = [name for one in context.command.params for name in one.opts]
        if "--seed" in options and all(one.isdigit() for one in given):
            seeds = _seeds([*_values(["--seed"], arguments), *given])
            return f"{extra[1]} follows no option: each seed has its own, {seeds}"
        if "--set" in options and all("=" in one for one in given):
            return f"{extra[1]} follows no option: {' '.join(f'--set {one}' for one in given)}"
    if words.startswith("Missing argument 'recipe'"):
        return f"{plain}: name one of those that gkd recipes lists, or a TOML file"
    return f"{plain}; it is {' '.join(context.get_usage().split()[1:])}"


def _seeds(numbers: Sequence[str]) -> str:
    return " ".join(f"--seed {number}" for number in numbers)
