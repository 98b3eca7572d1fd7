"""The command line: a thin Typer application over the library.

Every command imports what it needs when it runs, so that help and mistakes need no torch.
"""

import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from gkd.commands.usage import UsageError, explained
from gkd.errors import GkdError, printable
from gkd.recipe.shipped import reproductions

app = typer.Typer(
    name="gkd",
    help="Distil graph neural networks.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Over the recipe's own: training.epochs=3."),
]
Seeds = Annotated[
    list[int] | None, typer.Option("--seed", help="Instead of the recipe's; may be repeated.")
]
Out = Annotated[Path | None, typer.Option(help="Folder of the run; by default a new one in runs/.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in --out, or the newest one.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda (cuda:1: the second) or mps.")]
UntilDecided = Annotated[
    bool,
    typer.Option(
        "--until-decided",
        help="Train with more seeds, one by one, until every method is better or worse.",
    ),
]
MaxSeeds = Annotated[
    int | None, typer.Option(help="How many seeds --until-decided takes at most: 30.")
]
Devices = Annotated[int, typer.Option(help="How many devices share each batch.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch; by default its own.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1, help="How many networks to train at once. Give --threads, too, for equal bits."
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(help="Who trains: process (of this machine; --jobs starts them) or ray."),
]
Precision = Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from gkd import __version__

        typer.echo(f"gkd {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print its version."
        ),
    ] = False,
) -> None:
    """Distil graph neural networks."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def components(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="loss, kernel, graph, model, dataset, task or weigher; all when left out."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what the plugins provide: losses, kernels, graph builders, models, datasets, tasks."""
    from gkd.commands import listing

    listing.show_components(kind, as_json=as_json)


@app.command()
def plugins(as_json: Json = False) -> None:
    """List the plugins: distribution, version, what each provides, state."""
    from gkd.commands import listing

    listing.show_plugins(as_json=as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the installation; exit 0 when it is healthy, 1 when something needs attention."""
    from gkd.commands.doctor import show_diagnosis

    if not show_diagnosis(as_json=as_json):
        raise typer.Exit(1)


recipes = typer.Typer(help="List the recipes that come with gkd; show one, check any.")
app.add_typer(recipes, name="recipes")


@recipes.callback(invoke_without_command=True)
def list_recipes(context: typer.Context, as_json: Json = False) -> None:
    """List the recipes that come with gkd; show one, to be copied and changed; check any."""
    if context.invoked_subcommand is None:
        from gkd.commands import recipes

        recipes.list_recipes(as_json=as_json)


@recipes.command("show")
def show_recipe(name: Annotated[str, typer.Argument(help="Of a shipped recipe.")]) -> None:
    """Print a recipe, to be changed: gkd recipes show communities > mine.toml."""
    from gkd.commands import recipes

    recipes.show_recipe(name)


@recipes.command("check")
def check_recipe(
    recipe: Annotated[
        str, typer.Argument(help="Path of a TOML file, or name of a shipped recipe.")
    ],
    settings: Settings = None,
    device: Device = "auto",
) -> None:
    """Try all that gkd run tries before it trains: keys, components, data, first batches.

    Nothing is downloaded.
    """
    from gkd.commands import recipes

    recipes.check_recipe(recipe, settings or (), device)


@app.command()
def run(
    recipe: Annotated[
        str, typer.Argument(help="Name of a shipped recipe, or path of a TOML file.")
    ],
    settings: Settings = None,
    seeds: Seeds = None,
    out: Out = None,
    resume: Resume = False,
    device: Device = "auto",
    devices: Devices = 1,
    precision: Precision = None,
    threads: Threads = None,
    jobs: Jobs = None,
    executor: Executor = None,
    until_decided: UntilDecided = False,
    max_seeds: MaxSeeds = None,
) -> None:
    """Train a recipe's teacher and students, and report whether distillation helped."""
    from gkd.commands.run_recipe import RunOptions, run_recipe

    options = RunOptions(
        settings,
        seeds,
        precision,
        out,
        resume,
        device,
        devices,
        threads,
        jobs,
        executor,
        until_decided,
        max_seeds,
    )
    run_recipe(recipe, options)


@app.command()
def demo(
    settings: Settings = None,
    seeds: Seeds = None,
    out: Out = None,
    resume: Resume = False,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Run the recipe demo: DGCNN on generated shapes, within three minutes on two cores.

    One thread by default: its networks are so small that a second one makes it slower.
    """
    from gkd.commands.run_recipe import RunOptions, run_recipe

    options = RunOptions(settings, seeds, None, out, resume, device, threads=threads)
    run_recipe("demo", options)


@app.command()
def reproduce(
    experiment: Annotated[
        str, typer.Argument(help=f"Table or figure of the paper: {', '.join(reproductions())}.")
    ],
    settings: Settings = None,
    seeds: Seeds = None,
    out: Out = None,
    resume: Resume = False,
    device: Device = "auto",
    devices: Devices = 1,
    precision: Precision = None,
    threads: Threads = None,
    jobs: Jobs = None,
    executor: Executor = None,
    until_decided: UntilDecided = False,
    max_seeds: MaxSeeds = None,
) -> None:
    """Run the recipe of a published table or figure; count the networks of tables 1 and 3."""
    from gkd.commands.reproduce import reproduce_result
    from gkd.commands.run_recipe import RunOptions

    options = RunOptions(
        settings,
        seeds,
        precision,
        out,
        resume,
        device,
        devices,
        threads,
        jobs,
        executor,
        until_decided,
        max_seeds,
    )
    reproduce_result(experiment, options)


@app.command()
def sweep(
    recipe: Annotated[
        str, typer.Argument(help="Name of a shipped recipe, or path of a TOML file.")
    ],
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=DOMAIN",
            help="What to try, over the recipe's own: 'training.learning_rate=1e-4..0.1 log', "
            '\'methods.lsp.terms.0.params.kernel=["rbf", "linear"]\'; may be repeated.',
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Of each method, the baseline too; default 20.")
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sweep; by default a new one in runs/.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the sweep in --out, or the newest one, also beside others that do.",
        ),
    ] = False,
    storage: Annotated[
        str | None,
        typer.Option(help="URL of a database that keeps the trials of several machines."),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many trials to train at once.")] = 1,
) -> None:
    """Search the settings of a recipe's methods on validation data, each with the same budget."""
    from gkd.commands.sweep import SweepOptions, sweep_recipe

    options = SweepOptions(space, trials, settings, out, resume, storage, device, threads, jobs)
    sweep_recipe(recipe, options)


@app.command()
def taps(
    recipe: Annotated[
        str, typer.Argument(help="Name of a shipped recipe, or path of a TOML file.")
    ],
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """List what terms can tap: paths, types, output shapes, parameters of both networks."""
    from gkd.commands.list_taps import show_taps

    show_taps(recipe, settings or (), as_json=as_json)


@app.command()
def report(
    run_dirs: Annotated[list[Path], typer.Argument(help="Folders of runs, or of results.json.")],
    as_json: Json = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for one report over all; else each run gets its own again."),
    ] = None,
) -> None:
    """Write the report of a run again, print its table; compare runs, pool seeds of one recipe."""
    from gkd.commands.report_runs import report_runs

    report_runs(run_dirs, out=out, as_json=as_json)


RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, or weights.safetensors of it.")
]
Method = Annotated[
    str | None, typer.Option(help="Whose student; by default the only one that distils.")
]
OfSeed = Annotated[int | None, typer.Option("--seed", help="By default the best in validation.")]
Code = Annotated[Path | None, typer.Option(help="Folder with the module of a model of your own.")]


@app.command()
def evaluate(
    run: RunFolder,
    settings: Settings = None,
    split: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in each forward pass.")] = 1,
    as_json: Json = False,
) -> None:
    """Score the networks of a run once more on its data."""
    from gkd.commands.use_student import evaluate_run

    evaluate_run(run, settings or (), split, batch_size, as_json=as_json)


@app.command()
def predict(
    run: RunFolder,
    data: Annotated[Path, typer.Option(help="A .npz file with the network's inputs by name.")],
    out: Annotated[Path, typer.Option(help="A .npz or .csv file to write.")],
    method: Method = None,
    seed: OfSeed = None,
    code: Code = None,
) -> None:
    """Write what a trained student says of a sample that comes from elsewhere."""
    from gkd.commands.use_student import predict_by_run

    predict_by_run(run, data, out, method, seed, code)


@app.command()
def export(
    run: RunFolder,
    form: Annotated[
        str | None,
        typer.Option("--format", help="torch-export, onnx or safetensors; by default as --out is."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default student.pt2, .onnx, …, here.")
    ] = None,
    method: Method = None,
    seed: OfSeed = None,
    code: Code = None,
) -> None:
    """Write a trained student as a program for graphs of any size, compared with the network."""
    from gkd.commands.use_student import export_from_run

    export_from_run(run, form, out, method, seed, code)


@app.command()
def bench(
    cases: Annotated[
        list[str] | None,
        typer.Argument(help="Names of benchmarks, or patterns: 'zoo-*'; all when left out."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few repetitions, no fresh processes, no long cases.")
    ] = False,
    repeats: Annotated[int | None, typer.Option(min=1, help="Repetitions of each side.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch.")] = None,
    as_json: Json = False,
) -> None:
    """Measure gkd against named alternatives: time, memory, error against float64."""
    from gkd.commands.bench import BenchOptions, run_benchmarks

    options = BenchOptions(quick, repeats, device, dtype, threads)
    run_benchmarks(cases or (), options, as_json=as_json)


@app.command("new-plugin")
def new_plugin(
    name: Annotated[str, typer.Argument(help="Of the distribution: gkd-my-loss.")],
    kind: Annotated[
        str, typer.Option(help="loss, kernel, graph, model, dataset, task or weigher.")
    ] = "loss",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the project; by default NAME, here.")
    ] = None,
) -> None:
    """Write a small plugin project that installs and passes its own tests, to be changed."""
    from gkd.commands.new_plugin import write_plugin

    write_plugin(name, kind, out)


@app.command()
def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PLUGIN|MODULE:OBJECT",
            help="Plugin or component that is installed (gkd-my-loss, loss:lsp, "
            "'kernel:rbf {sigma = 2.0}'), or an object to import, written likewise.",
        ),
    ],
    kind: Annotated[
        str | None, typer.Option(help="Of the components to check: loss, kernel, …")
    ] = None,
    expected: Annotated[
        list[str] | None,
        typer.Option("--expect", metavar="LAW=REASON", help="A law known to be broken, and why."),
    ] = None,
    examples: Annotated[
        int | None, typer.Option(min=1, help="How many problems most laws try.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check components against the laws of their kind; exit 0 when all hold, 1 when one fails."""
    from gkd.commands.check import CheckOptions, run_checks

    options = CheckOptions(kind, expected or (), examples)
    if not run_checks(target, options, as_json=as_json):
        raise typer.Exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on ``arguments`` (default: the process's own).

    A :class:`gkd.errors.GkdError`, an error of the system, or what no command takes, is one message
    on stderr and exit status 2; Ctrl-C exits 130. What the output's encoding lacks is written as ?.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            sys.exit(app(args=arguments, prog_name="gkd", standalone_mode=False) or 0)
    except GkdError as error:
        _fail(str(error), *getattr(error, "__notes__", ()))
    except OSError as error:  # such as of a path that no system takes
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except UsageError as error:
        _fail(explained(error, sys.argv[1:] if arguments is None else arguments))
    except Exception as error:
        from gkd.errors.causes import CREATING, raised_at

        # What a constructor raises is the mistake of whoever wrote it, or of what it was given.
        notes = getattr(error, "__notes__", ())
        if not any(note.startswith(CREATING) for note in notes):
            raise
        _fail(f"{type(error).__name__}: {error} [{raised_at(error)}]", *notes)


def _fail(*words: str) -> NoReturn:
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(printable("\n".join(words)), err=True)
    sys.exit(2)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # What gkd warns of is about the user's data, wherever in gkd it is noticed.
    ours = Path(filename).is_relative_to(Path(__file__).parent)
    text = f"{message}" if ours else f"{filename}:{lineno}: {category.__name__}: {message}"
    typer.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
    typer.echo(printable(text), err=True)
