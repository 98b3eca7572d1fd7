"""Training one network to the end: fit, choose the best epoch, test once, sum up."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from rich.console import Console
from safetensors.torch import save_file
from torch import nn

from gkd.cache.teacher_cache import TeacherCache
from gkd.data import AbstractDataset
from gkd.distillation.distiller import Distiller
from gkd.evaluation.cost import inference_time, parameter_count
from gkd.evaluation.metrics import primary_metric
from gkd.files import write_atomically, write_json
from gkd.hosting.hookspecs import StepEvent
from gkd.recipe.model import TrainingRecipe
from gkd.training.checkpoints import AtomicCheckpointIO, Checkpoints, read_checkpoint
from gkd.training.data_module import DataModule
from gkd.training.device import Placement
from gkd.training.feature_space import FeatureSpace, FeatureSpaceRecorder
from gkd.training.journal import Journal
from gkd.training.module import DistillationModule
from gkd.training.progress import progress
from gkd.training.quiet import interruptible, quiet_lightning
from gkd.training.scores import Scores


@dataclass(frozen=True)
class Workplace:
    """What all networks of a run share.

    Args:
        dataset: to train, select and test on.
        placement: device and number of devices.
        precision: of Lightning.
        console: for the progress.
        observers: called with every training step.
        cache: of the teacher's outputs, which the students share.
        feature_space: what to see of every network for the report's picture.
    """

    dataset: AbstractDataset
    placement: Placement
    precision: str
    console: Console
    observers: Callable[[StepEvent], object] | None = None
    cache: TeacherCache | None = None
    feature_space: FeatureSpace | None = None


@dataclass(frozen=True)
class Identity:
    """Which network of a run: ``network`` is ``"teacher"`` or ``"student"``."""

    network: str
    method: str
    seed: int

    @property
    def title(self) -> str:
        """Name to show."""
        return self.network if self.network == "teacher" else f"{self.method} seed {self.seed}"


class NetworkTraining:
    """Trains what a distiller holds, and leaves its folder complete.

    Args:
        identity: which network it is.
        folder: gets checkpoints, ``metrics.csv``, ``weights.safetensors``, ``summary.json``.
        distiller: prepared, so that its adapters exist.
        training: how to train.
        workplace: what all networks share.
    """

    def __init__(
        self,
        identity: Identity,
        folder: Path,
        distiller: Distiller,
        training: TrainingRecipe,
        workplace: Workplace,
    ) -> None:
        self.identity = identity
        self.folder = folder
        self.distiller = distiller
        self.training = training
        self.workplace = workplace

    def run(self) -> None:
        """Train from the last checkpoint, if there is one, and write what was reached.

        Raises:
            KeyboardInterrupt: the user interrupted; running again goes on.
            DataError: a checkpoint is damaged.
        """
        dataset, place = self.workplace.dataset, self.workplace.placement
        module = DistillationModule(
            self.distiller, self.training, self.identity.seed, self.workplace.observers
        )
        scores = Scores(dataset, self.training.batch_size)
        journal = Journal(self.folder, dataset, scores, self.training.validate_every)
        checkpoints = Checkpoints(self.folder, journal)
        with quiet_lightning(), interruptible():
            trainer = self._trainer(journal, checkpoints)
            scores.precision = trainer.precision_plugin.forward_context
            batches = DataModule(
                dataset, self.training.batch_size, self.identity.seed, self.training.workers
            )
            last = checkpoints.last if checkpoints.last.is_file() else None
            if last is not None:
                read_checkpoint(last)
            trainer.fit(module, datamodule=batches, ckpt_path=last, weights_only=True)
            module.load_state_dict(read_checkpoint(checkpoints.best)["state_dict"])
            if trainer.is_global_zero:
                student = self.distiller.student.to(place.torch_device)
                self._finish(student, journal, scores, module.peak_memory_bytes)

    def _trainer(self, journal: Journal, checkpoints: Checkpoints) -> Trainer:
        place = self.workplace.placement
        return Trainer(
            accelerator=place.device,
            devices=place.devices,
            strategy="ddp_find_unused_parameters_true" if place.devices > 1 else "auto",
            precision=self.workplace.precision,  # type: ignore[arg-type]  # checked by the recipe
            max_epochs=self.training.epochs,
            gradient_clip_val=self.training.gradient_clipping,
            callbacks=[
                journal,
                *self._recorders(),
                checkpoints,
                progress(self.identity.title, journal, self.workplace.console),
            ],
            plugins=[AtomicCheckpointIO()],
            logger=_tensorboard(self.folder),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            limit_val_batches=0,
            default_root_dir=self.folder,
        )

    def _recorders(self) -> list[FeatureSpaceRecorder]:
        space = self.workplace.feature_space
        if space is None or self.identity.network == "teacher":
            return []
        return [FeatureSpaceRecorder(space, self.folder)]

    def _finish(
        self, network: nn.Module, journal: Journal, scores: Scores, peak_memory_bytes: int | None
    ) -> None:
        best = journal.best
        summary = {
            **described(self.identity, network, self.workplace.dataset, scores),
            "epochs": len(journal.rows),
            "best_epoch": best["epoch"],
            "selection": f"validation {primary_metric(self.workplace.dataset.task)}",
            "validation": {
                name.removeprefix("validation/"): value
                for name, value in best.items()
                if name.startswith("validation/")
            },
            "training_seconds": journal.training_seconds,
            "seconds_per_epoch": journal.training_seconds / len(journal.rows),
            "peak_memory_bytes": peak_memory_bytes,
            "teacher_cached": bool(self.distiller.teachers)
            and self.distiller.teacher_cache is not None,
            "history": journal.rows,
        }
        write_network(self.folder, network, summary)


def described(
    identity: Identity, network: nn.Module, dataset: AbstractDataset, scores: Scores
) -> dict[str, Any]:
    """Describe any network, trained here or given: size, speed, test metrics."""
    return {
        "network": identity.network,
        "method": identity.method,
        "seed": identity.seed,
        "parameters": parameter_count(network),
        "test": scores(network, dataset.test),
        "milliseconds_per_sample": inference_time(network, dataset.test, dataset.inputs),
    }


def write_network(folder: Path, network: nn.Module, summary: dict[str, Any]) -> None:
    """Write the weights, then the summary, whose presence says that the network is finished."""
    state = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    write_atomically(folder / "weights.safetensors", lambda partial: save_file(state, partial))
    write_json(folder / "summary.json", summary)


def is_finished(folder: Path) -> bool:
    """Whether the network of a folder needs no more training."""
    return (folder / "summary.json").is_file()


def _tensorboard(folder: Path) -> list[Logger]:
    if importlib.util.find_spec("tensorboard") is None:
        return []
    return [TensorBoardLogger(folder, name="", version="tensorboard")]
