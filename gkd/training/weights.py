"""Weights of networks in safetensors files, with a checksum."""

from pathlib import Path

import torch
from torch import Tensor, nn

from gkd.errors import DataError
from gkd.files import checksum, read_tensors, write_tensors


def write_weights(path: Path, network: nn.Module) -> None:
    """Write the weights of a network, with their checksum among the file's metadata."""
    # Transposed or shared weights, which the format has no word for, become plain ones.
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    write_tensors(path, state, {"checksum": checksum(state)})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, on the CPU.

    Raises:
        DataError: the file is missing, damaged, or not what was written.
    """
    try:
        tensors, metadata = read_tensors(path)
    except DataError as error:
        raise DataError(f"weights {error}") from error
    written = metadata.get("checksum")  # weights from elsewhere have none
    if written is not None and written != checksum(tensors):
        raise DataError(f"weights {path} are damaged: their content is not what was written")
    return tensors


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors file into a model.

    Raises:
        DataError: the file is missing or damaged, of another model, or holds NaN or infinity.
    """
    state, own = read_weights(path), model.state_dict()
    for name, tensor in state.items():
        if name in own and tensor.is_floating_point() != own[name].is_floating_point():
            raise DataError(
                f"weights {path}: {name} is {tensor.dtype}, but the model's is {own[name].dtype}"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise DataError(f"weights {path}: {name} holds NaN or infinity")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"weights {path} are of another model: {error}") from error
