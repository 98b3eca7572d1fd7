"""Files that are either whole or not there, whenever a run is interrupted."""

import json
from pathlib import Path
from typing import Any

from gkd.files import write_atomically

__all__ = ["write_atomically", "write_json", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
