"""What ``gkd run``, ``gkd demo`` and ``gkd reproduce`` do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from gkd.errors import UnknownNameError, suggestion
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.recipe.shipped import reproductions
from gkd.report import print_table, write_report
from gkd.training.device import Placement
from gkd.training.environment import command_line
from gkd.training.run import opened_run

_INTERRUPTED = 130


@dataclass(frozen=True)
class RunOptions:
    """Options of ``gkd run``.

    Args:
        settings: ``KEY=VALUE`` over the recipe's own values.
        seeds: instead of the recipe's.
        precision: instead of the recipe's.
        out: folder of the run.
        resume: go on with the run in ``out``, or with the newest of this recipe.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: how many.
    """

    settings: Sequence[str] | None = None
    seeds: Sequence[int] | None = None
    precision: str | None = None
    out: Path | None = None
    resume: bool = False
    device: str = "auto"
    devices: int = 1

    @property
    def all_settings(self) -> list[str]:
        """Settings, with those that have an option of their own."""
        seeds = [f"seeds={list(self.seeds)}"] if self.seeds else []
        precision = [f"precision={self.precision}"] if self.precision else []
        return [*(self.settings or ()), *seeds, *precision]


def run_recipe(recipe: str, options: RunOptions) -> None:
    """Train all networks of a recipe, write the report, print the table.

    Raises:
        GkdError: something about the recipe, the data or the options is wrong.
        typer.Exit: interrupted by Ctrl-C; how to resume has been printed.
    """
    placement = Placement.of(options.device, options.devices)
    file = read_recipe(recipe, options.all_settings)
    run = opened_run(
        file, create_host(), placement, Console(), out=options.out, resume=options.resume
    )
    try:
        run.train()
        if run.first_process:
            print_table(write_report(run.directory.folder))
            run.say(f"report: {run.directory.folder / 'report.html'}")
    except KeyboardInterrupt:
        if run.first_process:
            typer.echo(f"\ninterrupted{_advice(run.directory.folder, options)}", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def _advice(folder: Path, options: RunOptions) -> str:
    if not folder.exists():
        return " before anything was trained"
    out = [] if options.out else ["--out", str(folder)]
    resume = [] if options.resume else ["--resume"]
    return f"; resume with:\n  {command_line(*out, *resume)}"


def reproduction(experiment: str, options: RunOptions) -> None:
    """Run the recipe of a table or figure of the paper.

    Raises:
        UnknownNameError: there is no recipe of it.
    """
    known = reproductions()
    if experiment not in known:
        hint = suggestion(experiment, known)
        raise UnknownNameError(f"{experiment!r} cannot be reproduced by a recipe: {hint}")
    run_recipe(experiment, options)
