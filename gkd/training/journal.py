"""What happened in each epoch: losses, validation, time; kept in the checkpoints."""

import csv
import io
from pathlib import Path
from time import perf_counter
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from gkd.data import AbstractDataset
from gkd.evaluation.metrics import primary_metric
from gkd.files import write_text
from gkd.training.module import DistillationModule
from gkd.training.scores import Scores

Row = dict[str, float]


class Journal(Callback):
    """Validates, and writes one row per epoch to ``metrics.csv`` and the loggers.

    Args:
        folder: of the network.
        dataset: its validation split is scored.
        scores: the metrics.
        validate_every: epochs between validations; the last epoch is validated in any case.
    """

    def __init__(
        self, folder: Path, dataset: AbstractDataset, scores: Scores, validate_every: int
    ) -> None:
        self.folder = folder
        self.dataset = dataset
        self.scores = scores
        self.validate_every = validate_every
        self.primary = f"validation/{primary_metric(dataset.task)}"
        self.rows: list[Row] = []
        self._epoch_began = 0.0

    @property
    def best(self) -> Row:
        """Row of the earliest epoch with the highest primary metric."""
        return max(
            (row for row in self.rows if self.primary in row), key=lambda row: row[self.primary]
        )

    @property
    def training_seconds(self) -> float:
        """Time spent in training steps so far, validation not included."""
        return sum(row["seconds"] for row in self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Rows so far, which a checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._epoch_began = perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row."""
        assert isinstance(pl_module, DistillationModule)
        epoch = trainer.current_epoch
        losses = pl_module.means.row()
        seconds = perf_counter() - self._epoch_began
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        row: Row = {"epoch": epoch, **losses, "learning_rate": rate, "seconds": seconds}
        if (epoch + 1) % self.validate_every == 0 or epoch + 1 == trainer.max_epochs:
            row |= self._validation(trainer, pl_module.distiller.student)
        self.rows.append(row)
        if trainer.is_global_zero:
            write_text(self.folder / "metrics.csv", _csv(self.rows))
            for logger in trainer.loggers:
                logger.log_metrics(row, step=epoch)

    def _validation(self, trainer: Trainer, network: nn.Module) -> Row:
        """Scores by the first process: batch statistics differ between processes."""
        found = self.scores(network, self.dataset.validation) if trainer.is_global_zero else {}
        found = trainer.strategy.broadcast(found)
        return {f"validation/{name}": value for name, value in found.items()}


def _csv(rows: list[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
