"""Everything a report says about a run, collected from its directory."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, Field, JsonValue

from gkd.errors import DataError
from gkd.evaluation.formats import metric_name
from gkd.evaluation.metric import Metric
from gkd.recipe.data_words import data_words
from gkd.recipe.model import Recipe
from gkd.recipe.sections import PublishedRecipe
from gkd.report.comparison import Comparison, Row, compare_methods, summary_rows
from gkd.report.feature_spaces import FeatureSpaces, RankCorrelations, feature_spaces
from gkd.report.latencies import NetworkLatency
from gkd.report.reaching import Reached, reaching, with_as_good
from gkd.report.run_files import RunEnvironment, RunRecipe
from gkd.report.run_parts import RunPart, read_part
from gkd.report.significance import LEVEL, fewest_to_decide
from gkd.report.summary import Summary, name_of


class Results(BaseModel):
    """A run's results, as ``results.json`` has them.

    Args:
        title: The recipe's title.
        directory: Name of the run directory.
        recipe: Text of the resolved recipe, which repeats the run.
        environments: What it ran on; one for each of several runs that are one.
        hardware: That of the first.
        versions: Versions of what computed the first.
        samples: Number of samples of each split; empty for older runs.
        classes: Width of the networks' output; None for older runs.
        published: What others found, of the recipe.
        protocol: How the numbers came about, as label and text.
        primary_metric: Metric that networks are compared by.
        metrics: What the metrics' numbers mean.
        networks: The summary of every finished network.
        missing: Networks of the recipe that are not finished, in words.
        rows: The table: one row per method.
        comparisons: Every method against its baseline.
        reached: By method, when it was as good as the baseline in the end.
        rank_correlations: Of the distances in the students' feature spaces with the teacher's: by
            method, epoch and seed, the mean over the objects that the recipe wants looked at.
        foreign: Sentences on networks that another recipe or teacher has made.
        latencies: How long networks take to answer; empty for older runs.
        feature_spaces: What the networks of one seed make of one sample, where the recipe wants
            it drawn; its file lies beside each network, and ``results.json`` has nothing of it.
    """

    title: str
    directory: str
    recipe: str
    environments: list[RunEnvironment] = []
    hardware: JsonValue
    versions: dict[str, JsonValue]
    samples: dict[str, int] = {}
    classes: int | None = None
    published: list[PublishedRecipe] = []
    protocol: dict[str, str]
    primary_metric: str
    metrics: list[Metric] = []
    networks: list[Summary]
    missing: list[str]
    rows: list[Row]
    comparisons: list[Comparison]
    reached: dict[str, Reached] = {}
    rank_correlations: RankCorrelations = {}
    foreign: list[str] = []
    latencies: list[NetworkLatency] = []
    feature_spaces: FeatureSpaces | None = Field(default=None, exclude=True)

    def metric(self, name: str) -> Metric:
        """Return what is known of a metric; one that nobody described is a share."""
        return next((metric for metric in self.metrics if metric.name == name), Metric(name))

    @property
    def primary(self) -> Metric:
        """The primary metric."""
        return self.metric(self.primary_metric)


def run_results(directory: Path, seeds: Collection[int] | None = None) -> Results:
    """Collect the results of a run, finished or not.

    Args:
        directory: Run directory, as ``gkd run`` writes it, or a folder in which the
            ``results.json`` of one is kept.
        seeds: Those of the students to look at; None for all.

    Raises:
        DataError: It is neither, or a file in it cannot be read.
    """
    return results_of([read_part(directory, seeds)])


def pooled_results(directories: Sequence[Path]) -> list[Results]:
    """Collect the results of several runs; those that differ by their seeds alone are one."""
    return [results_of(group) for group in pooled_parts(directories)]


def pooled_parts(directories: Sequence[Path]) -> list[list[RunPart]]:
    """Read several runs, those that differ by their seeds alone together.

    Runs of one recipe on the same data, wherever these lie, that share no student, have more seeds
    together than each has: every student is still compared with the baseline of its own run.

    Args:
        directories: Run directories, as ``gkd run`` writes them, or folders in which the
            ``results.json`` of one is kept.

    Raises:
        DataError: One is neither, or a file in it cannot be read.
    """
    groups: list[list[RunPart]] = []
    for part in map(read_part, directories):
        fitting = (group for group in groups if all(part.apart_from(one) is None for one in group))
        group = next(fitting, None)
        if group is None:
            groups.append([part])
        else:
            group.append(part)
    return groups


def kept_apart(groups: Sequence[Sequence[RunPart]]) -> list[str]:
    """Say what keeps runs of one title from being one, a sentence for each but the first."""
    sentences = []
    for place, (part, *_) in enumerate(groups):
        for first, *others in groups[:place]:
            if first.recipe.title == part.recipe.title:
                reasons = (part.apart_from(one) for one in (first, *others))
                reason = next(filter(None, reasons))
                sentences.append(f"{part.name} and {first.name} are not pooled: {reason}")
                break
    return sentences


def results_of(parts: Sequence[RunPart]) -> Results:
    """Collect the results of a run, or of several that are one."""
    first = parts[0]
    recipe, methods = first.recipe, first.methods
    finished = _pooled(parts)
    primary = _primary_metric(first.directory, finished)
    metrics = {metric.name: metric for one in finished for metric in one.metrics}
    metric, baselines = metrics.get(primary, Metric(primary)), _baselines(recipe, methods)
    finished = with_as_good(finished, metric, baselines)
    done = {one.key for one in finished}
    seeds = dict.fromkeys(seed for part in parts for seed in part.recipe.seeds)
    expected = [("student", method, seed) for method in methods for seed in seeds]
    missing = [name_of(key) for key in expected if key not in done]
    if recipe.teacher is not None and not any(network == "teacher" for network, _, _ in done):
        missing.insert(0, "teacher")  # of whatever seed: runs have one
    environments = [one for part in parts for one in part.environments]
    correlations: RankCorrelations = {}
    for part in parts:
        for method, epochs in part.correlations.items():
            for epoch, by_seed in epochs.items():
                correlations.setdefault(method, {}).setdefault(epoch, {}).update(by_seed)
    agreed = {key: share for part in parts for key, share in part.agreed.items()}
    spaces = (feature_spaces(part.directory, methods) for part in parts)
    return Results(
        title=recipe.title or first.directory.name,
        directory=", ".join(part.name for part in parts),
        recipe=first.text,
        environments=environments,
        hardware=environments[0].hardware,
        versions=environments[0].versions,
        samples=environments[0].samples,
        classes=environments[0].classes,
        published=recipe.published,
        protocol=_protocol(finished, recipe, environments),
        primary_metric=primary,
        metrics=list(metrics.values()),
        networks=finished,
        missing=missing,
        rows=summary_rows(finished, primary, agreed),
        comparisons=compare_methods(
            finished, metric, baselines, sequential=recipe.max_seeds is not None
        ),
        reached=reaching(finished, baselines),
        rank_correlations=correlations,
        foreign=[*(one for part in parts for one in part.foreign), *_differences(parts)],
        latencies=first.latencies,
        feature_spaces=next((one for one in spaces if one is not None), None),
    )


def _pooled(parts: Sequence[RunPart]) -> list[Summary]:
    """All networks by method; of teachers of one seed, which every run trains again, the first."""
    teachers: dict[int, Summary] = {}
    students = []
    for one in (one for part in parts for one in part.networks):
        if one.network == "teacher":
            teachers.setdefault(one.seed, one)
        else:
            students.append(one)
    order = {name: place for place, name in enumerate(parts[0].methods)}
    students.sort(key=lambda one: (order.get(one.method, len(order)), one.key))
    return [*teachers.values(), *students]


def _differences(parts: Sequence[RunPart]) -> list[str]:
    """One sentence on each run that is pooled with a first one it is not wholly like."""
    first, found = parts[0], []
    for part in parts[1:]:
        ours, theirs = first.teachers, part.teachers
        if any(theirs.get(seed, weights) != weights for seed, weights in ours.items()):
            found.append(
                f"{part.name} has a teacher other than that of {first.name}, whose row is shown; "
                "its students are compared with their own baselines."
            )
        unlike = [
            name
            for name in ("versions", "hardware")
            if _recorded(part, name) != _recorded(first, name)
        ]
        if unlike:
            found.append(f"{part.name} ran on other {' and '.join(unlike)} than {first.name}.")
        if None in [*_recorded(first, "data"), *_recorded(part, "data")]:
            found.append(f"Nothing says whether {part.name} and {first.name} had the same data.")
    return found


def _recorded(part: RunPart, name: str) -> list[object]:
    """Return what a part's environments have under a name, equal ones once."""
    found: list[object] = []
    for one in (getattr(environment, name) for environment in part.environments):
        if one not in found:
            found.append(one)
    return found


def undecided_methods(directory: Path, seeds: Collection[int]) -> list[str]:
    """Return the methods that are neither better nor worse than their baseline by these seeds.

    Args:
        directory: Run directory.
        seeds: Those of the students to look at.

    Raises:
        DataError: A file in it cannot be read.
    """
    results = run_results(directory, seeds)
    return [one.method for one in results.comparisons if one.outcome == "open"]


def seeds_to_decide(recipe: Recipe) -> tuple[int, int]:
    """Return how many methods a recipe compares, and how many seeds a verdict takes at least.

    That is where it is looked after every seed.
    """
    methods = [method.name for method in recipe.methods]
    compared = len(_baselines(RunRecipe.model_validate(recipe.model_dump()), methods))
    return compared, fewest_to_decide(LEVEL / max(compared, 1))


def _primary_metric(directory: Path, finished: list[Summary]) -> str:
    """Metric that the networks name; old ones that of the selection, or the first one tested."""
    names = {one.primary_metric or (one.selection or "").split(" ")[-1] for one in finished} - {""}
    if len(names) > 1:
        raise DataError(
            f"{directory} mixes networks compared by different metrics: {', '.join(sorted(names))}"
        )
    names = names or {name for one in finished[:1] for name in list(one.test)[:1]}
    return names.pop() if names else ""


def _baselines(recipe: RunRecipe, methods: list[str]) -> dict[str, str]:
    """By method, another that trains the same student without terms: the first."""
    own = {method.name: method for method in recipe.methods}
    students = {name: own[name].student if name in own else None for name in methods}
    plain = [name for name in methods if name not in own or not own[name].terms]
    first = {
        name: next((other for other in plain if students[other] == students[name]), name)
        for name in methods
    }
    return {name: baseline for name, baseline in first.items() if baseline != name}


def _protocol(
    finished: list[Summary], recipe: RunRecipe, environments: Sequence[RunEnvironment]
) -> dict[str, str]:
    """How the numbers came about, for whoever wants to judge or repeat them."""
    if not finished:
        return {}
    trained = [one for one in finished if one.epochs]
    rules = {one.network: _selected(one) for one in trained}
    selections = _listing(rules.values()) or "given weights"
    if len(set(rules.values())) > 1:
        selections = ", ".join(f"of the {network} {rule}" for network, rule in rules.items())
    epochs = dict.fromkeys(f"{one.network} {one.epochs or '(given weights)'}" for one in finished)
    students = [one.seed for one in finished if one.network == "student"]
    teachers = sum(one.network == "teacher" for one in finished)
    covered = "seeds and of their splits" if teachers > 1 else "seeds, not of test data"
    corrected = (
        "it was looked after every seed, so intervals hold at any time, and they bound"
        if recipe.max_seeds is not None
        else "where several methods are tested, Holm's correction bounds"
    )
    classes = environments[0].classes
    there = {one.classes for one in recipe.published} - {None, classes}
    other_classes = [f"{classes} classes"] if classes is not None and there else []
    protocol = {
        "dataset": "; ".join([data_words(recipe.dataset), *other_classes]),
        "epochs": ", ".join(epochs),
        "selection": f"{selections}; test data plays no part in it",
        "seeds": _listing(students or [one.seed for one in finished]),
        "comparison": f"paired by seed; an interval covers the choice of {covered}; {corrected} "
        "the probability of any false claim by 5 %",
        "ms/sample": "inference on one sample at a time, the median; networks that are alike are "
        "measured once, all of them in turns when the last is trained",
    }
    for label, own in (
        ("training of their own", {one.name: one.training for one in recipe.methods}),
        ("student of their own", {one.name: one.student_params for one in recipe.methods}),
    ):
        words = [
            f"{name}: {', '.join(f'{key} = {value}' for key, value in values.items())}"
            for name, values in own.items()
            if values
        ]
        protocol |= {label: "; ".join(words)} if words else {}
    places = [place for one in environments for place in (one, *one.resumed)]
    if any(place.device is not None for place in places):
        where = dict.fromkeys(f"{place.devices} × {place.device or '?'}" for place in places)
        protocol["device"] = f"{', then '.join(where)}, precision {recipe.precision}"
    if changed := dict.fromkeys(words for place in places for words in place.changed_code):
        protocol["code"] = f"changed while the run was resumed: {'; '.join(changed)}"
    commands = [one.command for one in environments if one.command is not None]
    return protocol | ({"command": "; ".join(commands)} if commands else {})


def _selected(one: Summary) -> str:
    """Return which epoch was kept, the metric called as in tables."""
    words = str(one.selection)
    # Summaries of before name split and metric alone.
    words = f"the epoch with the best {words}" if words.startswith("validation ") else words
    rule, split, metric = words.rpartition(" validation ")
    return f"{rule}{split}{metric_name(metric)}" if split else words


def _listing(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in dict.fromkeys(values))
