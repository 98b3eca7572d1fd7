"""The other end of :mod:`gkd.testing.other_process`: answers calls until nobody asks."""

import os
import pickle
import sys
from typing import Any

import torch

from gkd.hosting.plugin_sources import described


def main() -> None:
    """Answer pickled calls on the standard input with pickled results on the standard output."""
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a component prints is no answer
    while True:
        try:
            path, call = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        sys.path[:] = path
        pickle.dump(_answer(call), answers)
        answers.flush()


def _answer(call: bytes) -> tuple[bool, Any]:
    try:
        function, arguments = pickle.loads(call)
        return True, pickle.dumps(function(*arguments))
    except Exception as error:
        return False, described(error)


if __name__ == "__main__":
    main()
