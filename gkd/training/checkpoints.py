"""The last and the best checkpoint of a network, each whole at any moment."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from gkd.errors import DataError
from gkd.files import write_atomically
from gkd.training.journal import Journal


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that replace their predecessor in one move."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint."""
        write_atomically(Path(path), lambda partial: torch.save(checkpoint, partial))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise DataError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); delete {path.parent} to "
            "train that network anew"
        ) from error
    return checkpoint


class Checkpoints(Callback):
    """Writes ``best.ckpt`` when the journal has a new best epoch, then ``last.ckpt``.

    Args:
        folder: of the network.
        journal: comes before this callback in the trainer's list.
    """

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.best = folder / "best.ckpt"
        self.last = folder / "last.ckpt"
        self.journal = journal

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save; a run cut off in between repeats the epoch and finds the same best again."""
        row = self.journal.rows[-1]
        if self.journal.primary in row and row is self.journal.best:
            trainer.save_checkpoint(self.best)
        trainer.save_checkpoint(self.last)
