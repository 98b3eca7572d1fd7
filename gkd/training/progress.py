"""Progress of one network: a bar on a terminal, a line every few seconds elsewhere."""

from time import monotonic
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gkd.training.journal import Journal, Row
from gkd.training.module import DistillationModule

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_REFRESHES = 0.25


def described(row: Row) -> str:
    """Losses and validation metrics of an epoch in one line.

    >>> described({"epoch": 3, "loss": 0.51234, "term/lsp": 1.2e-5, "validation/micro_f1": 0.9})
    'loss 0.5123  lsp 1.2e-05  validation micro_f1 0.9000'
    """
    shown = {
        name.removeprefix("term/").replace("/", " "): value
        for name, value in row.items()
        if name.startswith(("loss", "term/", "validation/"))
    }
    return "  ".join(f"{name} {_short(value)}" for name, value in shown.items())


def _short(value: float) -> str:
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2g}"


class LineProgress(Callback):
    """Prints the newest epoch, at most every few seconds, and the last epoch always."""

    def __init__(self, title: str, journal: Journal, console: Console) -> None:
        self.title = title
        self.journal = journal
        self.console = console
        self._printed = -SECONDS_BETWEEN_LINES

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's row if it is time to."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        now = monotonic()
        if epoch == epochs or now - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = now
            line = f"{self.title}  epoch {epoch}/{epochs}  {described(self.journal.rows[-1])}"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)


class BarProgress(Callback):
    """A bar over all steps, with the loss terms of the running epoch and the last validation."""

    def __init__(self, title: str, journal: Journal, console: Console) -> None:
        self.title = title
        self.journal = journal
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
        )
        self._refreshed = 0.0
        self._validation: Row = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, from where a resumed run goes on."""
        self.task = self.bar.add_task(
            self.title, total=trainer.max_epochs, completed=trainer.current_epoch, status=""
        )
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Refresh a few times per second: reading a loss waits for the device."""
        now = monotonic()
        if now - self._refreshed >= SECONDS_BETWEEN_REFRESHES:
            self._refreshed = now
            assert isinstance(pl_module, DistillationModule)
            self._show(trainer.current_epoch, pl_module.means.row())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the bar on by one epoch."""
        row = self.journal.rows[-1]
        self._validation = {
            name: value for name, value in row.items() if name.startswith("validation/")
        } or self._validation
        self._show(trainer.current_epoch + 1, row)

    def _show(self, completed: int, row: Row) -> None:
        status = described({**row, **self._validation})
        self.bar.update(self.task, completed=completed, status=status, refresh=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self.bar.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self.bar.stop()


def progress(title: str, journal: Journal, console: Console) -> Callback:
    """Progress that fits the console."""
    kind = BarProgress if console.is_terminal else LineProgress
    return kind(title, journal, console)
