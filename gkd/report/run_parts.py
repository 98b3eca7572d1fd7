"""What a report is made of: a run's folder, or the ``results.json`` that was kept of one."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel, JsonValue

from gkd.errors import DataError, shown
from gkd.evaluation.answers import agreement, read_answers
from gkd.files import parse_toml, read_json
from gkd.recipe.data_words import without_place
from gkd.recipe.differences import differences
from gkd.recipe.model import BASELINE, FORMER_BASELINE
from gkd.report.feature_spaces import RankCorrelations, rank_correlations
from gkd.report.latencies import NetworkLatency, read_latencies, with_latency
from gkd.report.run_files import (
    ENVIRONMENT,
    RECIPE,
    RunEnvironment,
    RunRecipe,
    parse_recipe_of_run,
    read_environment,
    read_recipe_of_run,
    validated,
)
from gkd.report.summary import Summary, name_of, summaries
from gkd.training.provenance import Provenance, recipe_of
from gkd.training.run_directory import WEIGHTS, method_folder

RESULTS = "results.json"


class KeptResults(BaseModel):
    """What of a ``results.json`` its tables can be made of again.

    Args:
        recipe: Text of the resolved recipe.
        environments: One for each run whose networks are in it; older files have the following
            three instead.
        hardware: What it ran on.
        versions: Versions of what computed it.
        samples: Number of samples of each split.
        protocol: How the numbers came about, as label and text.
        networks: The summary of every finished network.
        latencies: How long networks take to answer.
        rank_correlations: Of the distances in the students' feature spaces with the teacher's.
        foreign: Sentences on networks that another recipe or teacher has made.
    """

    recipe: str
    environments: list[RunEnvironment] = []
    hardware: JsonValue = None
    versions: dict[str, JsonValue] = {}
    samples: dict[str, int] = {}
    protocol: dict[str, str] = {}
    networks: list[Summary]
    latencies: list[NetworkLatency] = []
    rank_correlations: RankCorrelations = {}
    foreign: list[str] = []

    def known_environments(self) -> list[RunEnvironment]:
        """Return the environments, what is known of them where the file has none."""
        if self.environments:
            return self.environments
        place = re.match(r"(\d+) × (\w+),", self.protocol.get("device", ""))
        known = RunEnvironment(
            device=place[2] if place else None,
            devices=int(place[1]) if place else 1,
            command=self.protocol.get("command"),
            hardware=self.hardware,
            versions=self.versions,
            samples=self.samples,
        )
        return [known]


@dataclass(frozen=True)
class RunPart:
    """One run, whose networks may be pooled with those of others.

    Attributes:
        directory: of the run, or of what was kept of it.
        text: of its recipe.
        recipe: what a report needs of it.
        environments: what it ran on; several where results of several runs were kept.
        methods: their names, the baseline first.
        networks: the finished ones, the teacher's first, then by method.
        latencies: how long they take to answer.
        agreed: the share of the test split on which a student answers as its teacher, by key.
        correlations: see :func:`~gkd.report.feature_spaces.rank_correlations`.
        foreign: sentences on networks that another recipe or teacher has made.
        kept: whether there is no run any more, but what a report has said of it.
    """

    directory: Path
    text: str
    recipe: RunRecipe
    environments: list[RunEnvironment]
    methods: list[str]
    networks: list[Summary]
    latencies: list[NetworkLatency]
    agreed: dict[tuple[str, str, int], float]
    correlations: RankCorrelations
    foreign: list[str]
    kept: bool = False

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.directory.resolve().name

    @property
    def teachers(self) -> dict[int, str | None]:
        """Checksums of the teachers' weights by seed."""
        teachers = (one for one in self.networks if one.network == "teacher")
        return {one.seed: one.checksums.get(WEIGHTS) for one in teachers}

    def apart_from(self, other: "RunPart") -> str | None:
        """Say what keeps a run apart from another; None where they differ by their seeds alone.

        That is where they are of one recipe, on data that are not known to differ. A teacher whose
        weights are the other's is the same one, whether it was trained or given.
        """
        then, now = (_without_places(part.text) for part in (other, self))
        ours, theirs = ({*part.teachers.values()} for part in (self, other))
        if ours == theirs and ours and None not in ours:
            then, now = (_without_training_of_teacher(recipe) for recipe in (then, now))
        if found := list(differences(then, now)):
            (key, *values), more = found[0], len(found) - 1
            pair = ", ".join("not given" if one is None else shown(one, 60) for one in values)
            others = f", and {more} more {'key' if more == 1 else 'keys'}" if more else ""
            return f"{key} differs ({pair}){others}"
        data = [one.data for part in (self, other) for one in part.environments]
        known = [one for one in data if one is not None]
        if any(one != known[0] for one in known):
            return "the data differ"
        students = [one.key for one in other.networks if one.network == "student"]
        both = next((one.key for one in self.networks if one.key in students), None)
        return None if both is None else f"both have {name_of(both)}"


def read_part(directory: Path, seeds: Collection[int] | None = None) -> RunPart:
    """Read what a report needs of a run's folder, or of the ``results.json`` kept of one.

    Args:
        directory: Run directory, or a folder with ``results.json`` and no run.
        seeds: Those of the students to look at; None for all.

    Raises:
        DataError: It is neither, or a file in it cannot be read.
    """
    file = directory / RESULTS
    run = (directory / ENVIRONMENT).is_file() or summaries(directory)
    part = _run(directory) if run or not file.is_file() else _kept(file)
    if seeds is None:
        return part
    networks = [one for one in part.networks if one.network == "teacher" or one.seed in seeds]
    return replace(part, networks=networks)


def _run(directory: Path) -> RunPart:
    try:
        text, recipe = read_recipe_of_run(directory)
    except FileNotFoundError as error:
        near = nearest_run(directory)
        hint = f"did you mean {near}?" if near else "give a folder that gkd run has written"
        if not directory.exists():
            raise DataError(f"there is no folder {directory}: {hint}") from error
        raise DataError(
            f"{directory} is not a run directory (it has no {RECIPE}): {hint}"
        ) from error
    methods, latencies = _methods(recipe), read_latencies(directory)
    finished = _in_order(summaries(directory), methods)
    finished = _beside_teacher([with_latency(one, latencies) for one in finished])
    return RunPart(
        directory=directory,
        text=text,
        recipe=recipe,
        environments=[read_environment(directory)],
        methods=methods,
        networks=finished,
        latencies=latencies,
        agreed=agreements(directory, finished),
        correlations=rank_correlations(directory, methods),
        foreign=foreign_networks(finished, parse_toml(text)),
    )


def _kept(file: Path) -> RunPart:
    content = read_json(file)
    if isinstance(content, dict) and "runs" in content:
        raise DataError(
            f"{file} is of several runs that are not one: give the folder of each, or the results "
            "that were kept of each alone"
        )
    results = validated(KeptResults, content, file)
    recipe = parse_recipe_of_run(results.recipe, file)
    methods, environments = _methods(recipe), results.known_environments()
    networks = _in_order(results.networks, methods)
    if len(environments) == 1 and all(one.teacher_milliseconds is None for one in networks):
        networks = _beside_teacher(networks)  # in older files, of one run alone
    return RunPart(
        directory=file.parent,
        text=results.recipe,
        recipe=recipe,
        environments=environments,
        methods=methods,
        networks=networks,
        latencies=results.latencies,
        agreed={},
        correlations=results.rank_correlations,
        foreign=results.foreign,
        kept=True,
    )


def _beside_teacher(networks: list[Summary]) -> list[Summary]:
    """Note with the networks of one run the time of its teacher; several have their mean."""
    times = [one.milliseconds_per_sample for one in networks if one.network == "teacher"]
    known = {"teacher_milliseconds": fmean(times)} if times else {}
    return [one.model_copy(update=known) for one in networks]


def _methods(recipe: RunRecipe) -> list[str]:
    """Names of the methods, the baseline first."""
    return [BASELINE, *(one.name for one in recipe.methods if one.name != BASELINE)]


def _in_order(finished: list[Summary], methods: list[str]) -> list[Summary]:
    """Put the teacher's summaries first, then those of each method, the baseline by this name."""
    if FORMER_BASELINE not in methods:
        finished = [
            one.model_copy(update={"method": BASELINE}) if one.method == FORMER_BASELINE else one
            for one in finished
        ]

    def position(one: Summary) -> int:
        if one.network == "teacher":
            return -1
        return methods.index(one.method) if one.method in methods else len(methods)

    return sorted(finished, key=lambda one: (position(one), one.key))


def _without_places(text: str) -> dict[str, Any]:
    """Content of a recipe without its seeds, and without the folder that its data lie in."""
    content = parse_toml(text)
    return {**content, "dataset": without_place(content.get("dataset", {})), "seeds": None}


def _without_training_of_teacher(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Content of a recipe without what the weights of its teacher come from."""
    teacher = recipe.get("teacher")
    if not isinstance(teacher, Mapping):
        return {**recipe}
    made_by = ("weights", "training", "seed")
    return {**recipe, "teacher": {key: teacher[key] for key in teacher if key not in made_by}}


def agreements(directory: Path, networks: Iterable[Summary]) -> dict[tuple[str, str, int], float]:
    """Return the share of the test split on which each student answers as its teacher does.

    Args:
        directory: Run directory.
        networks: Its finished networks; of some nobody knows, such as those of older runs.

    Raises:
        DataError: A file is damaged.
    """
    found = {}
    for one in networks:
        if one.network == "teacher":
            continue
        own = directory / "teacher" / f"seed-{one.seed}"
        teacher = read_answers(own if own.is_dir() else own.parent)
        student = read_answers(method_folder(directory, one.method) / f"seed-{one.seed}")
        share = agreement(student, teacher)
        if share is not None:
            found[one.key] = share
    return found


def foreign_networks(networks: Sequence[Summary], recipe: Mapping[str, Any]) -> list[str]:
    """Return a sentence on each network that another recipe or teacher has made.

    Args:
        networks: Finished networks in a run's folder.
        recipe: Content of the run's ``recipe.toml``.
    """
    found = []
    teachers = [one.checksums.get(WEIGHTS) for one in networks if one.network == "teacher"]
    for one in networks:
        # Where each seed has its own, which of them is not known here.
        own = teachers[0] if len(teachers) == 1 and one.network != "teacher" else None
        here = Provenance(one.method, one.seed, recipe_of(recipe, one.method), own)
        if (difference := here.difference(one.made_by)) is not None:
            found.append(f"{name_of(one.key)} {difference}: its numbers may not belong here.")
    return found


def nearest_run(path: Path) -> Path | None:
    """Find the run directory that was probably meant: around, in or beside a folder."""
    for parent in path.parents:
        if (parent / RECIPE).is_file():
            return parent
    inside = sorted(path.glob(f"*/{RECIPE}"))
    if inside:
        return max(inside, key=lambda file: file.stat().st_mtime).parent
    beside = {file.parent.name: file.parent for file in path.parent.glob(f"*/{RECIPE}")}
    close = get_close_matches(path.name, beside, n=1, cutoff=0.5)
    return beside[close[0]] if close else None
