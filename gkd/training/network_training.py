"""Training one network to the end: fit, select an epoch, test once, sum up."""

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from rich.console import Console
from torch import Tensor, nn

from gkd.cache.teacher_cache import TeacherCache
from gkd.data import AbstractDataset
from gkd.distillation.distiller import Distiller
from gkd.distillation.inputs import inputs_or
from gkd.errors import DataError
from gkd.evaluation.answers import FILE_NAME as ANSWERS
from gkd.evaluation.answers import read_answers, write_answers
from gkd.evaluation.cost import inference_time, parameter_count
from gkd.evaluation.scores import Scores
from gkd.evaluation.soft_targets import CALIBRATION, CONFIDENCE, UNIFORM, uniform_confidence
from gkd.files import checksum, read_sealed_json, write_sealed_json
from gkd.hosting.hookspecs import StepEvent
from gkd.recipe.training import TrainingRecipe
from gkd.training.checkpoints import (
    BEST,
    PREVIOUS,
    AtomicCheckpointIO,
    BestCheckpoint,
    LastCheckpoint,
    read_checkpoint,
    resume_point,
)
from gkd.training.data_module import DataModule
from gkd.training.devices import Devices
from gkd.training.epoch_log import EpochLog
from gkd.training.epoch_selection import Selection
from gkd.training.failures import ProcessDied, end_of_loader
from gkd.training.feature_space_recorder import FeatureSpace, FeatureSpaceRecorder
from gkd.training.lightning_module import DistillationModule
from gkd.training.model_record import ModelRecord
from gkd.training.progress import TermWatch, progress
from gkd.training.provenance import MADE_BY, Provenance
from gkd.training.ranks import by_torchrun
from gkd.training.run_directory import SUMMARY, WEIGHTS
from gkd.training.run_plan import Standing
from gkd.training.termination import KeepTermination, end_if_asked
from gkd.training.trackers import Tracking, ended
from gkd.training.weights import read_weights, write_weights

CHECKSUMS = "checksums"
"""Key of a summary with those of the files beside it."""


@dataclass(frozen=True)
class RunContext:
    """What all networks of a run share.

    Args:
        dataset: to train, select and test on.
        devices: what to compute on.
        precision: of Lightning.
        console: for the progress.
        observers: called with every training step.
        cache: of the teacher's outputs, which the students share.
        feature_space: what to see of every network for the report's picture.
        tested: whether networks are scored on the test split, too.
        callbacks: further ones of Lightning, for every network.
        tracking: where curves go beside the network's own files.
    """

    dataset: AbstractDataset
    devices: Devices
    precision: str
    console: Console
    observers: Callable[[StepEvent], object] | None = None
    cache: TeacherCache | None = None
    feature_space: FeatureSpace | None = None
    tested: bool = True
    callbacks: Sequence[Callback] = ()
    tracking: Tracking | None = None


@dataclass(frozen=True)
class Identity:
    """Which network of a run.

    Args:
        network: ``"teacher"`` or ``"student"``.
        method: that trains it; a teacher's is ``"teacher"``.
        seed: of its training.
        sole: whether it is the only one of its method.
    """

    network: str
    method: str
    seed: int
    sole: bool = False

    @property
    def title(self) -> str:
        """Name to show."""
        return self.method if self.sole else f"{self.method} seed {self.seed}"


class NetworkTraining:
    """Trains what a distiller holds, and leaves its folder complete.

    Args:
        identity: which network it is.
        folder: gets checkpoints, ``metrics.csv``, ``weights.safetensors``, ``summary.json``.
        distiller: prepared, so that its adapters exist.
        training: how to train.
        context: what all networks share.
        made_by: what the network is made by.
        record: what rebuilds it from its weights.
        standing: where it stands in its run, for the progress.
    """

    def __init__(
        self,
        identity: Identity,
        folder: Path,
        distiller: Distiller,
        training: TrainingRecipe,
        context: RunContext,
        made_by: Provenance,
        record: ModelRecord | None = None,
        standing: Standing | None = None,
    ) -> None:
        self.identity = identity
        self.folder = folder
        self.distiller = distiller
        self.training = training
        self.context = context
        self.made_by = made_by
        self.record = record
        self.standing = standing
        self.scores = Scores(context.dataset, training.graphs_per_pass)
        self.selection = Selection.of(training.selection, self.scores.main)
        self.log = EpochLog(folder)
        self.loggers: list[Logger] = []

    def run(self) -> None:
        """Train from the last checkpoint, if there is one, and write what was reached.

        Raises:
            KeyboardInterrupt: the user interrupted; running again goes on.
            DataError: a checkpoint is damaged.
            RecipeError: a checkpoint is of another network.
        """
        training, context = self.training, self.context
        network, method, seed = self.identity.network, self.identity.method, self.identity.seed
        named = {"network": network, "method": method, "seed": seed}
        module = DistillationModule(
            self.distiller,
            training,
            seed,
            self.scores,
            context.observers,
            self.made_by.of_file(),
            named,
        )
        data = DataModule(context.dataset, training, seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        last, damage = resume_point(self.folder, self.made_by)
        for line in damage:
            context.console.print(f"{line}", markup=False, highlight=False, soft_wrap=True)
        if context.tracking is not None:
            self.loggers = context.tracking.loggers(self.identity.title, self.folder)
            self.log.settings = {
                **context.tracking.settings,
                **named,
                **training.model_dump(exclude_none=True),
            }
        with quiet_lightning(), interruptible(), explained_deaths(), ended(self.loggers):
            trainer = self.trainer()
            trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
            end_if_asked()  # a training that was cut short is not finished
            module.load_state_dict(read_checkpoint(self.folder / BEST)["state_dict"])
            if trainer.is_global_zero:
                self.scores.precision = trainer.precision_plugin.forward_context
                self.write_result(module.peak_memory_bytes)

    def trainer(self) -> Trainer:
        """Lightning's trainer for this network."""
        context, callbacks = self.context, [*self.context.callbacks]
        environment = TorchElasticEnvironment() if by_torchrun() else LightningEnvironment()
        if context.devices.count == 1:
            # Lightning took it from the environment, where a scheduler's may stand.
            rank_zero_only.rank = 0  # type: ignore[attr-defined]  # it is a function's attribute
        if context.feature_space is not None and self.identity.network != "teacher":
            callbacks += [FeatureSpaceRecorder(context.feature_space, self.folder)]
        return Trainer(
            accelerator=context.devices.kind,
            devices=context.devices.of_lightning,
            num_nodes=context.devices.machines,
            # A term without weight in an epoch leaves its adapter without a gradient.
            strategy="ddp_find_unused_parameters_true" if context.devices.count > 1 else "auto",
            precision=context.precision,  # type: ignore[arg-type]  # checked by the recipe
            max_epochs=self.training.epochs,
            gradient_clip_val=self.training.gradient_clipping,
            check_val_every_n_epoch=self.training.validate_every,
            # The log comes first: the checkpoints keep its row of the epoch.
            callbacks=[
                self.log,
                *callbacks,
                BestCheckpoint(self.folder, self.selection),
                LastCheckpoint(self.folder),
                progress(self.identity.title, context.console, self.standing),
                TermWatch(self.identity.title, context.console),
                KeepTermination(),
            ],
            # Named, or a scheduler's variables in the environment would choose another.
            plugins=[AtomicCheckpointIO(), environment],
            logger=self.loggers,
            enable_progress_bar=False,  # progress is one of the callbacks
            enable_model_summary=False,
            num_sanity_val_steps=0,  # the dry run has found what they would find
            use_distributed_sampler=False,  # EpochSampler shares the samples out
            default_root_dir=self.folder,
        )

    def write_result(self, peak_memory_bytes: int | None) -> None:
        """Test the selected epoch's network, if it may be, and write it with its summary."""
        best, seconds = self.selection.epoch(self.log.rows), self.log.training_seconds
        network = self.distiller.student.to(self.context.devices.torch_device)
        more = {
            MADE_BY: self.made_by.of_file(),
            "epochs": len(self.log.rows),
            "best_epoch": best["epoch"],
            "selection": str(self.selection),
            "validation": {
                name.removeprefix("validation/"): value
                for name, value in best.items()
                if name.startswith("validation/")
            },
            "training_seconds": seconds,
            "seconds_per_epoch": seconds / len(self.log.rows),
            "peak_memory_bytes": peak_memory_bytes,
            "teacher_cached": bool(self.distiller.teachers)
            and self.distiller.teacher_cache is not None,
            "history": self.log.rows,
        }
        write_network(
            self.folder,
            self.identity,
            network,
            self.context.dataset,
            self.scores,
            more,
            self.record,
            tested=self.context.tested,
        )


def describe(
    identity: Identity, network: nn.Module, dataset: AbstractDataset, scores: Scores
) -> dict[str, Any]:
    """Describe any network, trained here or given, without looking at the test split."""
    taught = identity.network == "teacher"
    return {
        **({"training": teaching(network, dataset, scores)} if taught else {}),
        "network": identity.network,
        "method": identity.method,
        "seed": identity.seed,
        "parameters": parameter_count(network),
        "primary_metric": scores.main.name,
        "metrics": [asdict(metric) for metric in scores.described],
    }


def examine(
    network: nn.Module, dataset: AbstractDataset, scores: Scores
) -> tuple[dict[str, Any], Tensor | None]:
    """Return what the test split shows, for the summary, and the network's answers on it."""
    found = Scores(dataset, scores.batch_size, scores.precision, soft_targets=True)
    values = found(network, "test")
    answers = torch.cat(found.answers) if found.answers else None
    certainty = {name: values.pop(name) for name in (CONFIDENCE, CALIBRATION) if name in values}
    metrics = list(scores.described)
    for part, samples in dataset.test_parts.items():
        metrics.append(replace(scores.main, name=f"{scores.main.name}_on_{part}"))
        values[metrics[-1].name] = scores(network, "test", samples)[scores.main.name]
    inputs = inputs_or(network, dataset.inputs)
    with scores.precision():
        # A first look: measure_latency measures all networks beside each other in the end.
        time = inference_time(network, dataset.test, inputs, repetitions=3, at_most=8)
    shown = {
        "metrics": [asdict(metric) for metric in metrics],
        "test": values,
        "certainty": certainty,
        "milliseconds_per_sample": time,
    }
    return shown, answers


def teaching(network: nn.Module, dataset: AbstractDataset, scores: Scores) -> dict[str, float]:
    """Return what a teacher is like on the training rows: its metrics, how sure it is."""
    dataset.set_epoch(0)
    found = Scores(dataset, scores.batch_size, scores.precision, soft_targets=True)
    values = found(network, "train")
    if CONFIDENCE in values:
        values[UNIFORM] = uniform_confidence(found.task, dataset.num_classes)
    return values


def write_network(
    folder: Path,
    identity: Identity,
    network: nn.Module,
    dataset: AbstractDataset,
    scores: Scores,
    more: Mapping[str, Any],
    record: ModelRecord | None = None,
    *,
    tested: bool = True,
) -> None:
    """Test a network, if it may be, and write its files.

    Args:
        folder: of the network.
        identity: which network it is.
        network: with the weights to keep.
        dataset: to test it on.
        scores: of the dataset.
        more: for the summary, beside what is said of every network.
        record: what rebuilds the network.
        tested: whether the test split may be looked at.
    """
    summary, answers = describe(identity, network, dataset, scores), None
    if tested:
        shown, answers = examine(network, dataset, scores)
        summary |= shown
    write_finished(folder, network, answers, summary | dict(more), record)


def write_finished(
    folder: Path,
    network: nn.Module,
    answers: Tensor | None,
    summary: Mapping[str, Any],
    record: ModelRecord | None = None,
) -> None:
    """Write weights, answers on the test split, and summary of a finished network.

    The summary comes last: its presence says that the network is finished.
    """
    write_weights(folder / WEIGHTS, network, record)
    if answers is not None:
        write_answers(folder, answers)
    write_sealed_json(folder / SUMMARY, {**summary, CHECKSUMS: _checksums(folder)})
    (folder / PREVIOUS).unlink(missing_ok=True)


def origin_of(path: Path) -> dict[str, Any]:
    """Return how the run that wrote a file of weights trained them, as a summary notes it.

    It is what the summary beside the file says, if that is of these weights; else nothing.
    """
    try:
        summary = read_sealed_json(path.parent / SUMMARY)
        if summary[CHECKSUMS][path.name] != checksum(read_weights(path)):
            return {}
        found = summary.get("origin") or summary  # they may have been given there, too
        return {"origin": {key: int(found[key]) for key in ("epochs", "seed")}}
    except (DataError, LookupError, TypeError, ValueError):  # from elsewhere, or older
        return {}


def is_finished(folder: Path) -> bool:
    """Whether the network of a folder needs no more training."""
    return (folder / SUMMARY).is_file()


def damage_of(folder: Path) -> str | None:
    """Return what is wrong with the files of a finished network, None where nothing is."""
    try:
        summary, found = read_sealed_json(folder / SUMMARY), _checksums(folder)
    except DataError as error:
        return str(error)
    for key in (CHECKSUMS, MADE_BY):  # older ones have none
        if not isinstance(summary.get(key, {}), dict):
            return f"{folder / SUMMARY} is damaged: its {key!r} is no object"
    noted = summary.get(CHECKSUMS, {})
    wrong = [name for name in noted if noted[name] != found.get(name)]
    return f"{folder / wrong[0]} is not the file that {SUMMARY} was written with" if wrong else None


def _checksums(folder: Path) -> dict[str, str]:
    """Return those of what a finished network's files hold, by their names.

    Raises:
        DataError: one is damaged.
    """
    found, answers = {WEIGHTS: checksum(read_weights(folder / WEIGHTS))}, read_answers(folder)
    return found if answers is None else found | {ANSWERS: checksum({"answers": answers})}


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence what Lightning says unasked; its errors and everybody else's warnings remain."""
    parts = ("", ".pytorch", ".fabric", ".pytorch.utilities.rank_zero")
    loggers = [logging.getLogger(f"lightning{part}") for part in parts]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The module pattern covers advice on workers, logging intervals and unused devices.
        warnings.filterwarnings("ignore", module=r"lightning\.")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def explained_deaths() -> Iterator[None]:
    """Explain the end of a process that prepares batches, which torch puts into long words.

    Raises:
        ProcessDied: one has ended.
    """
    hook = sys.unraisablehook

    def told(unraisable: "sys.UnraisableHookArgs") -> None:
        # While an epoch's processes are let go, nobody misses what has ended meanwhile.
        error = unraisable.exc_value
        if not isinstance(error, Exception) or end_of_loader(error) is None:
            hook(unraisable)

    sys.unraisablehook = told
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        if (end := end_of_loader(error)) is None:
            raise
        raise ProcessDied(f"a process that prepares batches {end}") from error
    finally:
        sys.unraisablehook = hook


@contextmanager
def interruptible() -> Iterator[None]:
    """Hand a Ctrl-C on as KeyboardInterrupt, which Lightning turns into an exit with status 1.

    Lightning also ignores further interrupts for good; the handler is put back.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):
            raise leaving.__context__ from None
        raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
