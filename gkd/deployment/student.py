"""Networks of runs, found and loaded without data or training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from gkd.distillation.layer_by_layer import EDGES_PER_PASS
from gkd.errors import DataError, ParameterError, UnknownNameError, suggestion
from gkd.files import read_sealed_json
from gkd.hosting.host import current_host
from gkd.recipe.model import BASELINE, FORMER_BASELINE
from gkd.training.model_record import ModelRecord
from gkd.training.run_directory import SUMMARY, WEIGHTS
from gkd.training.weights import load_tensors, read_network


def load_student(
    source: str | Path,
    method: str | None = None,
    seed: int | None = None,
    code: str | Path | None = None,
) -> nn.Module:
    """Return a trained network, in evaluation mode, without its data and what trained it.

    Args:
        source: a run's folder, or a file ``weights.safetensors`` of one of its networks.
        method: whose student it is, or ``"teacher"``; by default the only one that distils.
        seed: of its training; by default that of the best score in validation.
        code: folder with the module of a model of your own, ``"my_models:Net"``; without it no file
            makes gkd import anything but plugins.

    Raises:
        DataError: there is no such file, or it is damaged, or does not say what network it is of.
        ParameterError: a method or a seed is asked of the file of one network, or ``code`` is no
            folder.
        UnknownNameError: the run has no such method or seed, or its model is not installed, or is
            in a module of somebody's own and ``code`` does not say where.

    >>> gkd.load_student("runs/demo", method="lsp")  # doctest: +SKIP
    """
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise ParameterError(f"seed: expected a whole number, got {seed!r}")
    folder = None if code is None else Path(code)
    return load_network(find_weights(Path(source), method, seed), folder)[0]


def load_network(weights: Path, code: Path | None = None) -> tuple[nn.Module, ModelRecord]:
    """Return the network of a file of weights, in evaluation mode, and what is known of it."""
    state, record = read_network(weights)
    folder = None if code is None else code.expanduser().absolute()
    if folder is not None and not folder.is_dir():
        found = f"is a file: name {folder.parent}" if folder.is_file() else "is not there"
        raise ParameterError(f"code: expected the folder of the model's module, and {code} {found}")
    # A file may be anybody's: it says what is imported only where the caller says from where.
    host = current_host().with_code(folder, imports=folder is not None)
    what = f"{weights} is of the model {record.model!r} of {record.distribution}"
    if not host.imports and host.is_own(record.model):
        raise UnknownNameError(
            f"{what}, which is no plugin's: name the folder of that module, by code=FOLDER or "
            "--code FOLDER"
        )
    try:
        with host.activated():
            network: nn.Module = host.create("model", record.model, **record.params)
    except UnknownNameError as error:
        raise UnknownNameError(f"{what}: {error}") from error
    for name in ("inputs", "logits", EDGES_PER_PASS):
        said = getattr(record, name)
        if said and not isinstance(getattr(network, name, None), nn.Module):
            setattr(network, name, said)
    load_tensors(network, state, weights)
    return network.eval(), record


@dataclass(frozen=True)
class _Found:
    method: str
    seed: int
    weights: Path


def find_weights(source: Path, method: str | None = None, seed: int | None = None) -> Path:
    """Return the file of a network's weights.

    Args:
        source: the file, or a run's folder.
        method: see :func:`load_student`.
        seed: see :func:`load_student`.

    Raises:
        DataError: nothing is there, or no network of the run is finished.
        ParameterError: a method or a seed is asked of a single network.
        UnknownNameError: the run has no such method or seed.
    """
    for file in (source, source / WEIGHTS):
        if file.is_file():
            if (method, seed) != (None, None):
                raise ParameterError(
                    f"method and seed choose among the networks of a run, and {source} is one of "
                    "them: leave them out, or give the run's folder"
                )
            return file
    if not source.is_dir():
        raise DataError(f"{source}: there is no such file or folder")
    students = sorted(source.glob(f"students/*/seed-*/{WEIGHTS}"))
    teachers = [source / "teacher" / WEIGHTS, *sorted(source.glob(f"teacher/seed-*/{WEIGHTS}"))]
    found = [
        _Found(method, _seed_of(path.parent), path)
        for method, path in (
            *((path.parent.parent.name, path) for path in students),
            *(("teacher", path) for path in teachers),
        )
        if (path.parent / SUMMARY).is_file()  # else it is still being trained
    ]
    if not found:
        raise DataError(f"{source} has no finished network: is it the folder of a run?")
    methods = list(dict.fromkeys(one.method for one in found))
    if method is None:
        distilled = [name for name in methods if name not in (BASELINE, FORMER_BASELINE, "teacher")]
        choices = distilled or [name for name in methods if name != "teacher"]
        if len(choices) != 1:
            raise DataError(f"{source} has several methods: choose one of {', '.join(methods)}")
        (method,) = choices
    if method not in methods:
        raise UnknownNameError(f"{source} has no method {method!r}; {suggestion(method, methods)}")
    of_method = [one for one in found if one.method == method]
    if seed is not None:
        of_method = [one for one in of_method if one.seed == seed]
        if not of_method:
            seeds = ", ".join(str(one.seed) for one in found if one.method == method)
            raise UnknownNameError(f"{source} has no seed {seed} of {method}: it has {seeds}")
    return max(of_method, key=_validation_score).weights


def _seed_of(folder: Path) -> int:
    """Seed of the run that a network is for; a teacher of all seeds has none."""
    seed = folder.name.removeprefix("seed-")
    return int(seed) if seed.isdecimal() else 0


def _validation_score(found: _Found) -> float:
    """Score in validation, the higher the better; the first of equal ones is taken."""
    summary = read_sealed_json(found.weights.parent / SUMMARY)
    name = summary["primary_metric"]
    higher = {one["name"]: one.get("higher_is_better", True) for one in summary.get("metrics", [])}
    score = float(summary["validation"][name])
    return score if higher.get(name, True) else -score
