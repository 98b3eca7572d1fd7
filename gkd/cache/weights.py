"""What tells one state of a teacher's weights from another."""

import hashlib
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from gkd.cache.digest import bit_sum


def weights_fingerprint(teacher: nn.Module) -> object:
    """Value that changes when a weight does, whether in place, through ``.data`` or by exchange.

    It is cheap enough for every step and means nothing to another process.
    """
    tensors = [tensor for _, tensor in _tensors(teacher)]
    places = [(t.data_ptr(), None if t.is_inference() else t._version) for t in tensors]
    sums = [bit_sum(t) for t in tensors]
    device = tensors[0].device.type if tensors else "cpu"
    return places, torch.stack(sums).tolist() if sums else [], autocast_dtype(device)


def weights_hash(teacher: nn.Module) -> str:
    """Hash of a teacher's modules and of the content of its weights, the same in any process."""
    digest = hashlib.sha256(repr((type(teacher).__module__, teacher)).encode())
    for name, tensor in _tensors(teacher):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor's values, in order."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def autocast_dtype(device: str) -> torch.dtype | None:
    """Return what autocast computes in on a kind of device, None where it is off."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(module.named_parameters(), module.named_buffers())
