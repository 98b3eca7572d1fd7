"""Runs of one recipe, for other seeds, are one; whatever else differs keeps them apart."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from run_directories import ENVIRONMENT, summary, write_run

from gkd.commands.report_runs import report_runs
from gkd.errors import DataError
from gkd.report.outputs import json_text
from gkd.report.results import pooled_results, run_results

Capture = pytest.CaptureFixture[str]
WEIGHTS = "weights.safetensors"


def run(folder: Path, seed: int, teacher: Mapping[str, Any] | None = None) -> Path:
    students = [summary("baseline", seed, 0.9), summary("lsp", seed, 0.95)]
    teachers = [] if teacher is None else [summary("teacher", 0, 0.97) | teacher]
    return write_run(folder, [*teachers, *students], methods=("baseline", "lsp"), seeds=(seed,))


def with_environment(folder: Path, **changes: object) -> Path:
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT | changes), encoding="utf-8")
    return folder


def test_students_are_compared_seed_by_seed_over_the_runs(tmp_path: Path) -> None:
    runs = [with_environment(run(tmp_path / f"run-{seed}", seed), data="abc") for seed in (4, 2)]
    (pooled,) = pooled_results(runs)
    assert pooled.directory == "run-4, run-2"
    assert [row.seeds for row in pooled.rows] == [[2, 4], [2, 4]]
    (one,) = pooled.comparisons
    assert [*one.differences] == [2, 4]
    assert pooled.protocol["seeds"] == "2, 4"
    assert pooled.missing == ["teacher"]
    assert pooled.foreign == []


def test_runs_that_share_a_student_stay_apart(tmp_path: Path) -> None:
    runs = [run(tmp_path / name, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    assert [one.directory for one in pooled_results(runs)] == ["a, c", "b"]


def test_another_recipe_or_other_data_keep_runs_apart(tmp_path: Path) -> None:
    first = with_environment(run(tmp_path / "a", 0), data="abc")
    same = with_environment(run(tmp_path / "b", 1), data="abc")
    other_data = with_environment(run(tmp_path / "c", 2), data="abd")
    other_recipe = with_environment(run(tmp_path / "d", 3), data="abc")
    recipe = other_recipe / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("communities", "molecules"))
    found = pooled_results([first, same, other_data, other_recipe])
    assert [one.directory for one in found] == ["a, b", "c", "d"]


def test_teachers_that_differ_and_other_machines_are_named(tmp_path: Path) -> None:
    first, same, other = (
        with_environment(run(tmp_path / name, seed, {"checksums": {WEIGHTS: weights}}), data="d")
        for seed, (name, weights) in enumerate((("a", "x"), ("b", "x"), ("c", "y")))
    )
    with_environment(same, versions={"torch": "1"}, hardware=None, data="d")
    (pooled,) = pooled_results([first, same, other])
    assert len(pooled.rows[0].seeds) == 1  # of the teacher
    told = [one for one in pooled.foreign if "its numbers may not belong" not in one]
    assert told == [
        "b ran on other versions and hardware than a.",
        "c has a teacher other than that of a, whose row is shown; its students are compared with "
        "their own baselines.",
    ]


def with_teacher(folder: Path, **keys: object) -> Path:
    recipe = folder / "recipe.toml"
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    recipe.write_text(recipe.read_text().replace("[teacher]", f"[teacher]\n{table}"))
    return folder


def test_a_teacher_that_is_given_is_the_one_whose_weights_it_has(tmp_path: Path) -> None:
    first, given, other, larger = (
        with_environment(run(tmp_path / name, seed, {"checksums": {WEIGHTS: weights}}), data="d")
        for seed, (name, weights) in enumerate((("a", "x"), ("b", "x"), ("c", "y"), ("d", "x")))
    )
    for directory in (given, other, larger):
        with_teacher(directory, weights="/a/teacher/weights.safetensors", seed=4)
    with_teacher(larger, precision="bf16-mixed")
    found = pooled_results([first, given, other, larger])
    assert [one.directory for one in found] == ["a, b", "c", "d"]
    assert len(found[0].rows[0].seeds) == 1  # of the teacher


def test_what_keeps_runs_of_one_title_apart_is_said(tmp_path: Path, capsys: Capture) -> None:
    first, taught, again, other_data = (
        with_environment(run(tmp_path / name, seed), data=data)
        for name, seed, data in (("a", 0, "d"), ("b", 1, "d"), ("c", 0, "d"), ("e", 2, "f"))
    )
    with_teacher(taught, weights="w.pt", seed=4)
    another = run(tmp_path / "another", 3)
    recipe = another / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("A title", "Another"))
    report_runs([first, taught, again, other_data, another], out=None, as_json=False)
    told = [line for line in capsys.readouterr().out.splitlines() if "not pooled" in line]
    assert told == [
        "b and a are not pooled: teacher.weights differs (not given, 'w.pt'), and 1 more key",
        "c and a are not pooled: both have baseline, seed 0",
        "e and a are not pooled: the data differ",
    ]
    report_runs([first, taught], out=tmp_path / "both", as_json=False)
    assert f"- {told[0]}" in (tmp_path / "both" / "table.md").read_text().splitlines()
    page = (tmp_path / "both" / "report.html").read_text()
    assert f'<p class="note">{told[0].replace(chr(39), "&#39;")}</p>' in page
    capsys.readouterr()
    report_runs([first, run(tmp_path / "more", 5)], out=None, as_json=False)
    assert "not pooled" not in capsys.readouterr().out


def test_data_may_lie_elsewhere_but_must_not_be_of_another_file(tmp_path: Path) -> None:
    runs = [with_environment(run(tmp_path / str(seed), seed), data="abc") for seed in range(3)]
    places = ('root = "/a"\nfile = "/a/x.npz"', 'root = "/b"\nfile = "/b/x.npz"', 'file = "y.npz"')
    for directory, place in zip(runs, places, strict=True):
        recipe = directory / "recipe.toml"
        recipe.write_text(recipe.read_text().replace("[dataset]", f"[dataset]\n{place}"))
    assert [one.directory for one in pooled_results(runs)] == ["0, 1", "2"]


def test_data_of_which_nothing_is_known_are_named(tmp_path: Path) -> None:
    known = with_environment(run(tmp_path / "a", 0), data="abc")
    (pooled,) = pooled_results([known, run(tmp_path / "b", 1)])
    assert "Nothing says whether b and a had the same data." in pooled.foreign


def kept(directory: Path, folder: Path, **changes: object) -> Path:
    """Keep of a run what its report says of it, with changes."""
    report_runs([directory], out=None, as_json=False)
    content = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(content | changes), encoding="utf-8")
    return folder


def test_results_that_are_kept_of_a_run_pool_as_the_run_does(tmp_path: Path) -> None:
    runs = [with_environment(run(tmp_path / f"run-{seed}", seed), data="d") for seed in range(4)]
    (expected,) = pooled_results(runs)
    (tmp_path / "kept").mkdir()
    first = kept(runs[0], tmp_path / "kept" / "run-0")
    (found,) = pooled_results([first, *runs[1:]])
    assert found == expected
    report_runs([runs[0], runs[1]], out=tmp_path / "both", as_json=False)
    (found,) = pooled_results([tmp_path / "both", *runs[2:]])
    assert found.model_copy(update={"directory": expected.directory}) == expected


def test_times_are_compared_within_a_run_not_between_machines(tmp_path: Path) -> None:
    runs = []
    for seed, slower in enumerate((1, 10, 1)):
        teacher = summary("teacher", 0, 0.97, milliseconds_per_sample=30.0 * slower)
        students = [
            summary(method, seed, 0.9, milliseconds_per_sample=time * slower)
            for method, time in (("baseline", 12.0), ("lsp", 15.0))
        ]
        networks = [*([] if seed == 2 else [teacher]), *students]  # one run has no teacher yet
        folder = tmp_path / str(seed)
        write_run(folder, networks, methods=("baseline", "lsp"), seeds=(seed,))
        runs.append(with_environment(folder, data="d"))
    (pooled,) = pooled_results(runs)
    expected = {"teacher": 1.0, "baseline": 2.5, "lsp": 2.0}
    assert {row.method: row.speed_up for row in pooled.rows} == pytest.approx(expected)
    report_runs(runs[1:], out=tmp_path / "kept", as_json=False)
    (again,) = pooled_results([runs[0], tmp_path / "kept"])
    assert {row.method: row.speed_up for row in again.rows} == pytest.approx(expected)


@pytest.mark.parametrize("machines", [1, 2])
def test_kept_results_that_know_no_teacher_s_time_have_it_of_one_run_alone(
    tmp_path: Path, machines: int
) -> None:
    directory = run(tmp_path / "run", 0, {"milliseconds_per_sample": 24.6})
    networks = json.loads(json_text([run_results(directory)]))["networks"]
    for one in networks:
        del one["teacher_milliseconds"]
    environments = [ENVIRONMENT] * machines
    folder = kept(directory, tmp_path / "kept", networks=networks, environments=environments)
    rows = {row.method: row.speed_up for row in run_results(folder).rows}
    assert rows["lsp"] == (pytest.approx(2) if machines == 1 else None)


def test_results_that_are_kept_are_shown_and_stay_as_they_are(tmp_path: Path) -> None:
    directory = run(tmp_path / "run", 0, {"checksums": {}})
    folder = kept(directory, tmp_path / "kept")
    before = (folder / "results.json").read_bytes()
    report_runs([folder], out=None, as_json=False)
    assert [one.name for one in folder.iterdir()] == ["results.json"]
    assert (folder / "results.json").read_bytes() == before
    shown, original = run_results(folder), run_results(directory)
    assert shown.model_copy(update={"directory": "run"}) == original


def test_results_of_before_know_their_only_environment_in_parts(tmp_path: Path) -> None:
    folder = kept(run(tmp_path / "run", 0), tmp_path / "kept", environments=[])
    (environment,) = run_results(folder).environments
    assert environment.hardware == ENVIRONMENT["hardware"]
    assert environment.versions == ENVIRONMENT["versions"]
    assert environment.command == ENVIRONMENT["command"]
    assert (environment.device, environment.devices) == ("cpu", 1)
    assert environment.data is None


def test_a_history_that_lacks_epochs_says_nothing_of_when_a_method_was_as_good(
    tmp_path: Path,
) -> None:
    directory = run(tmp_path / "run", 0)
    networks = json.loads(json_text([run_results(directory)]))["networks"]
    for one in networks:
        one["history"] = one["history"][1:]
        del one["as_good"]  # as results of older versions are
    folder = kept(directory, tmp_path / "kept", networks=networks)
    assert run_results(directory).reached.keys() == {"baseline", "lsp"}
    assert run_results(folder).reached == {}
    other = run(tmp_path / "other", 1)
    (pooled,) = pooled_results([folder, other])
    assert [one.of for one in pooled.reached.values()] == [1, 1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged: the whole file"),
        ("{}", "is damaged: recipe"),
        ('{"runs": []}', "is of several runs"),
        ('{"recipe": "a", "networks": []}', "is not TOML"),
        ('{"recipe": "", "networks": [{"network": "student"}]}', "is damaged: networks.0"),
    ],
)
def test_what_is_no_results_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"results\.json") as error:
        run_results(tmp_path)
    assert told in str(error.value)
