"""Which data a recipe names, in words, wherever on a machine they lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gkd.errors import shown

_LONGEST = 60  # characters of a parameter, such as a list


def without_place(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's ``[dataset]`` without the folders in which its data lie."""
    return {
        key: Path(value).name
        if isinstance(value, str) and (key == "file" or Path(value).is_absolute())
        else value
        for key, value in dataset.items()
        if key != "root"
    }


def data_words(dataset: Mapping[str, Any]) -> str:
    """Return what a recipe's ``[dataset]`` names, with its parameters.

    >>> data_words({"name": "tudataset", "dataset": "PROTEINS", "folds": 10, "root": "/data"})
    'tudataset: dataset = PROTEINS, folds = 10'
    """
    given = without_place(dataset)
    name = str(given.pop("name", "unknown"))
    words = (
        f"{key} = {value if isinstance(value, str) else shown(value, _LONGEST)}"
        for key, value in given.items()
    )
    return ": ".join(filter(None, (name, ", ".join(words))))
