"""Weights of networks: as safetensors with what rebuilds the network; given ones also of torch."""

import hashlib
import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gkd.errors import DataError, shown
from gkd.files import checksum, read_tensors, write_tensors
from gkd.training.model_record import ModelRecord

_METADATA = "gkd"  # one entry: of several, the order in a file is chance
_OF_TORCH = (b"PK\x03\x04", b"\x80")  # archives, and pickles of before
_SHOWN, _MOST = 80, 4  # characters of a name, names


def write_weights(path: Path, network: nn.Module, record: ModelRecord | None = None) -> None:
    """Write the weights of a network; the file's metadata have a checksum, and the record.

    Args:
        path: of the file.
        network: whose weights they are.
        record: what rebuilds it; None where nothing is known.
    """
    # Transposed or shared weights, which the format has no word for, become plain ones.
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    model = None if record is None else record.model_dump()
    content = {"model": model, "checksum": _seal(state, model)}
    write_tensors(path, state, {_METADATA: json.dumps(content)})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, on the CPU.

    Raises:
        DataError: the file is missing, damaged, of another format, or not what was written.
    """
    return _read(path)[0]


def read_record(path: Path) -> ModelRecord:
    """Return what rebuilds the network whose weights are in a file; see :func:`read_network`."""
    return read_network(path)[1]


def read_network(path: Path) -> tuple[dict[str, Tensor], ModelRecord]:
    """Return the tensors of a safetensors file, and what rebuilds the network that they are of.

    Raises:
        DataError: the file cannot be read, or does not say what network it is of.
    """
    tensors, model = _read(path)
    if model is None:
        raise DataError(
            f"weights {path} do not say what network they are of: they come from elsewhere, or "
            "from an older gkd; make the model, and load them into it"
        )
    return tensors, ModelRecord.read(model, f"weights {path}")


def _read(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Return tensors and record of a file, having compared them with its checksum."""
    try:
        tensors, metadata = read_tensors(path)
    except DataError as error:
        raise DataError(f"weights {_other_format(path) or error}") from error
    damaged = DataError(f"weights {path} are damaged: their content is not what was written")
    model = None
    if _METADATA in metadata:
        try:
            content = json.loads(metadata[_METADATA])
            model, written = content["model"], content["checksum"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise damaged from error
        found = _seal(tensors, model)
    else:  # an older gkd's, or from elsewhere, which have none
        found = checksum(tensors)
        written = metadata.get("checksum", found)
    if written != found:
        raise damaged
    return tensors, model


def _seal(state: Mapping[str, Tensor], model: Any) -> str:
    """Return a hash of weights and record."""
    text = checksum(state) + json.dumps(model, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors file, or one of ``torch.save``, into a model.

    Of the latter a state dict, by itself or as the only one of tensors in a dict, such as under
    ``"state_dict"``. It is read without running code.

    Raises:
        DataError: the file is missing or damaged, of another format or model, or holds NaN,
            infinity, or what the model's numbers cannot be.
    """
    load_tensors(model, _of_torch(path) if _is_of_torch(path) else read_weights(path), path)


def _is_of_torch(path: Path) -> bool:
    """Whether a file begins as those of ``torch.save`` do: as an archive, or as a pickle."""
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_OF_TORCH)
    except OSError:  # what is wrong with it is said when it is read
        return False


def _of_torch(path: Path) -> Mapping[str, Tensor]:
    """Return the state dict in a file of ``torch.save``.

    Raises:
        DataError: it cannot be read without running code, or has none, or several.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which is refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, anything
        if (program := _program(path)) is not None:
            raise DataError(f"weights {program}") from error
        raise DataError(
            f"weights {path} cannot be read as tensors alone, which run no code: they are damaged, "
            "or hold a whole module; write torch.save(module.state_dict(), …) "
            f"({type(error).__name__})"
        ) from error
    if (state := _state_dict(content)) is not None:
        return state
    parts = content if isinstance(content, Mapping) else {}
    found = {str(key): state for key, part in parts.items() if (state := _state_dict(part))}
    if len(found) == 1:
        return next(iter(found.values()))
    names = ", ".join(repr(key[:_SHOWN]) for key in found)
    what = f"several state dicts ({names})" if found else f"a {type(content).__name__} without one"
    raise DataError(
        f"weights {path} hold {what}: expected a state dict, tensors by their names, by itself or "
        "as the only one of a dict"
    )


def _state_dict(content: object) -> dict[str, Tensor] | None:
    """Return what is a state dict, without what goes with it; None of anything else."""
    if not isinstance(content, Mapping) or not content:
        return None
    plain = all(
        isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided
        for key, value in content.items()
    )
    return dict(content) if plain else None


def load_tensors(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load what was read of a file into a model; see :func:`load_weights`.

    Args:
        model: to load it into.
        state: tensors of the file.
        path: of the file, for messages.
    """
    own = model.state_dict()
    for name, tensor in state.items():
        if name not in own:
            continue
        dtype = own[name].dtype
        if (tensor.is_floating_point(), tensor.is_complex()) != (
            dtype.is_floating_point,
            dtype.is_complex,
        ):
            raise DataError(f"weights {path}: {name} is {tensor.dtype}, but the model's is {dtype}")
        # In the model's type, which may be narrower.
        if not bool(torch.isfinite(tensor.to(dtype)).all()):
            finite = bool(torch.isfinite(tensor.to(torch.complex128)).all())
            what = f"numbers too large for the model's {dtype}" if finite else "NaN or infinity"
            raise DataError(f"weights {path}: {name} holds {what}")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        why = _other_names(list(state), list(own)) or _other_shapes(state, own) or shown(error, 500)
        raise DataError(f"weights {path} are of another model: {why}") from error


def _other_format(path: Path) -> str | None:
    """Say what a file is that is no safetensors file, and what to do, where that is known."""
    if (program := _program(path)) is not None:
        return program
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return None
    if head.startswith(_OF_TORCH):
        return (
            f"{path} is a file of torch.save, and a safetensors file is expected here, as a run "
            "leaves it: that says what network it is of; a teacher's weights may be of either kind"
        )
    if head.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS to the weights: fetch them with git lfs pull"
    if head.startswith(b"\x89HDF"):
        return f"{path} is an HDF5 file; weights are safetensors files, or of torch.save"
    return None


def _program(path: Path) -> str | None:
    """Say of an exported program what it is, and what is expected in its place."""
    by = "onnxruntime" if path.suffix == ".onnx" and path.is_file() else None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # of a damaged file, anything
        names = []
    for name in names:
        _, _, inside = name.partition("/")
        if inside == "archive_format":
            by = "torch.export.load"
        elif inside.startswith("code/"):
            by = "torch.jit.load"
    return by and (
        f"{path} is a program, which {by} runs, and weights are expected here, such as those that "
        "gkd export made it of: a run's folder, or weights.safetensors in it"
    )


def _other_names(given: list[str], own: list[str]) -> str | None:
    """Say how the names of weights differ from the model's; None where they do not."""
    if set(given) == set(own):
        return None
    for names, others, whose, advice in (
        (given, own, "all names in the file", "take it away"),
        (own, given, "all names in the model", "put it before the file's"),
    ):
        # As wrappers write them: DataParallel, torch.compile.
        prefix = names[0].removesuffix(next((n for n in others if names[0].endswith(n)), names[0]))
        if prefix and {name.removeprefix(prefix) for name in names} == set(others):
            return f"{whose} begin with {prefix!r}, as of a network that was wrapped; {advice}"
    missing, unknown = sorted(set(own) - set(given)), sorted(set(given) - set(own))
    parts = [
        f"{len(names)} of the {whose} ({', '.join(name[:_SHOWN] for name in names[:_MOST])}"
        f"{', …' if len(names) > _MOST else ''})"
        for names, whose in ((missing, "model's are not there"), (unknown, "file's it has not"))
        if names
    ]
    return "; ".join(parts)


def _other_shapes(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """Say which weights have another shape than the model's; None where none has."""
    other = [
        f"{name[:_SHOWN]} is {list(tensor.shape)}, the model's {list(own[name].shape)}"
        for name, tensor in state.items()
        if name in own and tensor.shape != own[name].shape
    ]
    more = [f"and {len(other) - _MOST} more"] if len(other) > _MOST else []
    return "; ".join([*other[:_MOST], *more]) or None
