"""What ``gkd run`` does; ``gkd demo`` and ``gkd reproduce`` are names of it for some recipes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gkd.commands.output import dispensable_output
from gkd.commands.resumption import resumable
from gkd.errors import ParameterError
from gkd.recipe.file import read_recipe
from gkd.training.ranks import first_speaks
from gkd.training.resumed_recipe import recipe_to_resume

if TYPE_CHECKING:
    from gkd.recipe.model import Recipe
    from gkd.training.recipe_run import Run

_MOST_SEEDS = 30


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
        threads: of torch; None for as many as it takes by itself.
        jobs: how many networks to train at once; None for one, or for all that a cluster takes.
        executor: what trains them; None for this process, or processes of this machine.
        until_decided: whether more seeds join until every method has a verdict.
        max_seeds: how many at most.
    """

    settings: Sequence[str] | None = None
    seeds: Sequence[int] | None = None
    precision: str | None = None
    out: Path | None = None
    resume: bool = False
    device: str = "auto"
    devices: int = 1
    threads: int | None = None
    jobs: int | None = None
    executor: str | None = None
    until_decided: bool = False
    max_seeds: int | None = None

    @property
    def all_settings(self) -> list[str]:
        """Settings, with those that have an option of their own.

        Raises:
            ParameterError: a number of seeds for a run that takes those of its recipe.
        """
        if self.max_seeds is not None and not self.until_decided:
            raise ParameterError("--max-seeds is for --until-decided; say that, too")
        most = [f"max_seeds={self.max_seeds or _MOST_SEEDS}"] if self.until_decided else []
        seeds = [f"seeds={list(self.seeds)}"] if self.seeds else []
        precision = [f"precision={self.precision}"] if self.precision else []
        return [*(self.settings or ()), *seeds, *precision, *most]


@dispensable_output()
@first_speaks()
def run_recipe(recipe: str, options: RunOptions) -> None:
    """Train all networks of a recipe, write the report, print the table.

    Raises:
        GkdError: something about the recipe, the data or the options is wrong.
        typer.Exit: interrupted by Ctrl-C, SIGTERM or SIGHUP; how to resume has been printed.
    """
    if options.resume:
        file = recipe_to_resume(recipe, options.all_settings, options.out)
    else:
        file = read_recipe(recipe, options.all_settings)
    # Torch and Lightning take seconds to load: a mistake in the recipe is reported before.
    from gkd.hosting.host import create_host

    host = create_host().with_code(file.code)
    file.check_components(host)

    from rich.console import Console

    from gkd.report.results import undecided_methods
    from gkd.training.devices import Devices
    from gkd.training.executors import executor_for
    from gkd.training.failures import FailedNetworks
    from gkd.training.recipe_run import open_run

    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    devices = Devices.of(options.device, options.devices)
    executor = executor_for(devices, options.jobs, options.executor, options.threads)
    run = open_run(
        file, host, devices, Console(), out=options.out, resume=options.resume, executor=executor
    )

    with resumable(
        run.directory,
        named=options.out is not None,
        resumed=options.resume,
        speaking=run.first_process,
    ):
        if file.recipe.max_seeds is not None:
            run.say(seeds_note(file.recipe))
        try:
            run.train(undecided_methods)
        except FailedNetworks:
            if run.first_process and any(run.directory.folder.rglob("summary.json")):
                report(run)
            raise
        report(run)


def seeds_note(recipe: "Recipe") -> str:
    """Say how many seeds a verdict takes where more of them join until all is decided."""
    from gkd.report.results import seeds_to_decide

    methods, fewest = seeds_to_decide(recipe)
    what = "one method" if methods == 1 else f"{methods} methods"
    takes = f"looking after every seed, a verdict on {what} takes {fewest} seeds at least"
    if methods and recipe.max_seeds is not None and recipe.max_seeds < fewest:
        return (
            f"warning: {takes}: with max_seeds = {recipe.max_seeds} nothing can be decided; "
            f"--max-seeds {_MOST_SEEDS}, or as many seeds by --seed without --until-decided"
        )
    return f"{takes}; at most {recipe.max_seeds} are trained"


def report(run: "Run") -> None:
    """Write the report of a run, and print its table."""
    from gkd.report import print_table, write_report

    if run.first_process:
        print_table(write_report(run.directory.folder))
        run.say(f"report: {run.directory.folder / 'report.html'}")
