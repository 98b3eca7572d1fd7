"""The best and the last checkpoint of a network, each whole at any moment."""

from hashlib import sha256
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from gkd.errors import DataError, shown
from gkd.files import write_atomically
from gkd.recipe.training import TrainingRecipe
from gkd.training.epoch_selection import Selection
from gkd.training.learning_rate import learning_rate_factor
from gkd.training.provenance import MADE_BY, Provenance
from gkd.training.run_directory import require_folder

_SEAL = b"sha256 "
BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that replace their predecessor in one move.

    Lightning's own writes into the file itself: whatever kills the process meanwhile takes the
    only checkpoint with it.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; the last one but one is kept beside it.

        Raises:
            DataError: its folder is gone.
        """
        place = Path(path)
        require_folder(place.parent)
        former = place.with_name(PREVIOUS) if place.name == LAST else None
        write_atomically(place, lambda partial: _save(checkpoint, partial), former)


class BestCheckpoint(ModelCheckpoint):
    """``best.ckpt``, of the selected epoch as far as training has come.

    Args:
        folder: of the network.
        selection: which epoch that is.
    """

    def __init__(self, folder: Path, selection: Selection) -> None:
        self.selection = selection
        # Right after validation, before the epoch ends with last.ckpt: a run that is cut off in
        # between repeats the epoch, and finds the same best again.
        super().__init__(
            folder,
            filename=Path(BEST).stem,
            monitor=selection.monitor,
            mode="min" if selection.metric and selection.metric.lower_is_better else "max",
            save_on_train_epoch_end=False,
            enable_version_counter=False,  # or it writes best-v1.ckpt beside the old best.ckpt
        )

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint."""
        return "BestCheckpoint"

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether an epoch takes the place of the best one: also if it is as good."""
        if current is None or not self.best_k_models:
            return current is not None
        now, best = (
            self.selection.merit(float(value))
            for value in (current, self.best_k_models[self.kth_best_model_path])
        )
        # As Lightning's own, which prefers the earlier of two: all processes have to agree.
        return bool(trainer.strategy.reduce_boolean_decision(now >= best))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best score of a checkpoint.

        Lightning keeps it only where the folder still has the same path, and would take the next
        epoch for the best one of a run that was moved.
        """
        path, score = self.format_checkpoint_name({}), state_dict["best_model_score"]
        # Another metric's score, of a run begun when the default was another, compares with none.
        if score is not None and state_dict.get("monitor", self.monitor) == self.monitor:
            self.best_model_score = self.kth_value = score
            self.best_k_models = {path: score}
            self.best_model_path = self.kth_best_model_path = path


class LastCheckpoint(ModelCheckpoint):
    """``last.ckpt``, which a run is resumed from, after every epoch.

    ``save_last`` would write it only after epochs that are the best so far.

    Args:
        folder: of the network.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            filename=Path(LAST).stem,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        _check_seal(path)
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(checkpoint, dict) or not isinstance(checkpoint["state_dict"], dict):
            raise TypeError("it holds no state_dict")
    except Exception as error:  # of a damaged file, anything
        what = f"{type(error).__name__}: {shown(error, 500)}"
        raise DataError(f"checkpoint {path} cannot be read ({what})") from error
    return checkpoint


def resume_point(folder: Path, made_by: Provenance | None = None) -> tuple[Path | None, list[str]]:
    """Return the checkpoint that a network is gone on with, and what to tell of damaged ones.

    Args:
        folder: of the network.
        made_by: what it is made by; None if any checkpoint will do.

    Returns:
        The last one; the one before it where that is damaged; None to begin anew.

    Raises:
        RecipeError: one is of another network.
    """
    told: list[str] = []
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            if path.exists():
                for each in (path, folder / BEST):  # which it was selected against
                    noted = read_checkpoint(each).get(MADE_BY, {})
                    if made_by is not None:
                        made_by.require(noted, f"checkpoint {each}")
                return path, told
        except DataError as error:
            told.append(f"{error}; going on from the one before it, or anew")
    return None, told


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    buffer = BytesIO()  # a disk that is full would be torch's own error, without its name
    torch.save(checkpoint, buffer)
    # An archive may end with a comment, whose length is its last number.
    buffer.seek(-2, SEEK_END)
    buffer.write((len(_SEAL) + 2 * sha256().digest_size).to_bytes(2, "little"))
    seal = sha256(buffer.getbuffer()).hexdigest()
    buffer.write(_SEAL + seal.encode())
    path.write_bytes(buffer.getbuffer())


def _check_seal(path: Path) -> None:
    """Make sure that a checkpoint is what was written.

    Older ones have the checksums of their members alone, which torch does not look at.
    """
    content = path.read_bytes()
    whole, found, seal = content.rpartition(_SEAL)
    if found:
        if sha256(whole).hexdigest().encode() != seal:
            raise BadZipFile("it has another checksum")
        return
    with ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise BadZipFile(f"{damaged} has another checksum")


def upgrade_checkpoint(checkpoint: dict[str, Any], monitor: str, training: TrainingRecipe) -> None:
    """Give a checkpoint from before gkd used Lightning's schedule and callbacks what they need.

    Args:
        checkpoint: changed in place; one of today's stays as it is.
        monitor: name of the validation metric that decides which epoch is the best.
        training: what the checkpoint's network is trained by.
    """
    callbacks = checkpoint["callbacks"]
    if "Journal" not in callbacks:
        return
    rows = callbacks.pop("Journal")["rows"]
    best = max((row[monitor] for row in rows if monitor in row), default=None)
    score = None if best is None else torch.tensor(best)
    callbacks["EpochLog"] = {"rows": rows}
    callbacks["BestCheckpoint"] = {"best_model_score": score}
    # The learning rate was set at the start of an epoch, now it is at the end of the one before.
    checkpoint["lr_schedulers"] = [{"last_epoch": len(rows), "lr_lambdas": [None]}]
    for group in checkpoint["optimizer_states"][0]["param_groups"]:
        group["lr"] = training.learning_rate * learning_rate_factor(len(rows), training)
