"""What a network answers on the test split, kept to compare networks with one another."""

from pathlib import Path
from typing import TYPE_CHECKING

from gkd.errors import DataError
from gkd.files import checksum, read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

FILE_NAME = "answers.safetensors"
_ANSWERS, _CHECKSUM = "answers", "checksum"


def write_answers(folder: Path, answers: "Tensor") -> None:
    """Write the numbers of the most likely answers, int64 ``[M]``, as small as they allow."""
    import torch

    most = int(answers.max()) if len(answers) else 0
    kinds = (torch.uint8, torch.int16, torch.int32, torch.int64)
    kind = next(kind for kind in kinds if most <= torch.iinfo(kind).max)
    tensors = {_ANSWERS: answers.to(kind)}
    write_tensors(folder / FILE_NAME, tensors, {_CHECKSUM: checksum(tensors)})


def read_answers(folder: Path) -> "Tensor | None":
    """Return the answers of a network; None where there are none.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    tensors, metadata = read_tensors(path)
    if _ANSWERS not in tensors or metadata.get(_CHECKSUM) != checksum(tensors):
        raise DataError(f"{path} is damaged: its checksum differs")
    return tensors[_ANSWERS].long()


def agreement(one: "Tensor | None", other: "Tensor | None") -> float | None:
    """Return the share of equal answers; None where they are not of the same questions.

    >>> import torch
    >>> agreement(torch.tensor([1, 0, 2]), torch.tensor([1, 1, 2]))
    0.6666666666666666
    """
    if one is None or other is None or one.shape != other.shape or not len(one):
        return None
    return (one == other).double().mean().item()
