import json
import math
from pathlib import Path

import pytest
from run_directories import complete_run, summary, write_run

from gkd.errors import DataError
from gkd.report import write_report
from gkd.report.latency_table import latency_table
from gkd.report.results import run_results
from gkd.report.run_parts import nearest_run


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return complete_run(tmp_path / "ppi-lsp")


def test_a_complete_run_misses_nothing(run_dir: Path) -> None:
    run = run_results(run_dir)
    assert run.missing == []
    assert [row.method for row in run.rows] == ["teacher", "baseline", "lsp", "at"]
    assert [one.outcome for one in run.comparisons] == ["better", "open"]
    assert run.primary_metric == "micro_f1"
    assert run.rows[1].compression == pytest.approx(3_640_748 / 185_172)


def test_the_protocol_says_how_the_numbers_came_about(run_dir: Path) -> None:
    protocol = run_results(run_dir).protocol
    assert protocol["selection"].startswith("the epoch with the best validation micro F1;")
    assert protocol["epochs"] == "teacher 4, student 4"
    assert protocol["seeds"] == "0, 1, 2"
    assert protocol["device"] == "1 × cpu, precision 32-true"
    assert protocol["command"] == "gkd run ppi-lsp --seed 0"
    assert "training of their own" not in protocol


def test_the_protocol_says_which_data_it_was_without_where_they_lay(run_dir: Path) -> None:
    recipe = run_dir / "recipe.toml"
    text = recipe.read_text()
    assert run_results(run_dir).protocol["dataset"] == "communities"
    parameters = (
        'name = "pyg"\ndataset = "TUDataset"\nname_ = "PROTEINS"\nfolds = 10\nroot = "/data"\n'
        f'file = "here/cora.npz"\nextra = "/data/extra.csv"\nmany = {list(range(100))}\n'
    )
    recipe.write_text(text.replace('name = "communities"\n', parameters))
    written = run_results(run_dir).protocol["dataset"]
    assert written.startswith(
        "pyg: dataset = TUDataset, name_ = PROTEINS, folds = 10, file = cora.npz, "
        "extra = extra.csv, many = [0, 1, 2, "
    )
    assert len(written) < 200
    write_report(run_dir)
    for name in ("table.md", "report.html"):
        assert "pyg: dataset = TUDataset, name" in (run_dir / name).read_text()


def test_the_time_of_a_network_is_that_measured_beside_the_others(run_dir: Path) -> None:
    rows = {row.method: row for row in run_results(run_dir).rows}
    assert {name: row.milliseconds_per_sample for name, row in rows.items()} == {
        "teacher": 48.0, "baseline": 12.0, "lsp": 12.0, "at": 12.0,
    }  # fmt: skip
    assert rows["lsp"].speed_up == pytest.approx(4)


def test_older_runs_have_the_time_of_each_network(run_dir: Path) -> None:
    (run_dir / "latency.json").unlink()
    run = run_results(run_dir)
    assert run.latencies == []
    assert latency_table(run.latencies) is None
    assert run.rows[1].milliseconds_per_sample == pytest.approx(12.3)


def test_the_times_of_requests_are_one_row_for_each_network(run_dir: Path) -> None:
    table = latency_table(run_results(run_dir).latencies)
    assert table is not None
    assert table.header == ["network", "sample, first", "sample, again", "1 node", "10 nodes"]
    assert table.body == [
        ["teacher", "61.0 / 122", "48.0 / 96.0", "5.25 / 10.5", "12.0 / 24.0"],
        ["baseline, lsp, at", "20.0 / 40.0", "12.0 / 24.0", "–", "–"],
    ]
    write_report(run_dir)
    for name in ("table.md", "report.html"):
        assert "5.25 / 10.5" in (run_dir / name).read_text()


def test_damaged_times_are_named(run_dir: Path) -> None:
    (run_dir / "latency.json").write_text('{"networks": [{"methods": 3}]}')
    with pytest.raises(DataError, match=r"latency\.json: networks\.0\.methods: "):
        run_results(run_dir)


def test_methods_that_are_trained_otherwise_are_named(run_dir: Path) -> None:
    recipe = run_dir / "recipe.toml"
    text = recipe.read_text()
    assert text.count('name = "lsp"\n') == 1
    own = 'name = "lsp"\ntraining = { learning_rate = 0.01, epochs = 3 }\n'
    own += "student_params = { dropout = 0.5 }\n"
    recipe.write_text(text.replace('name = "lsp"\n', own))
    protocol = run_results(run_dir).protocol
    assert protocol["training of their own"] == "lsp: learning_rate = 0.01, epochs = 3"
    assert protocol["student of their own"] == "lsp: dropout = 0.5"


def test_a_part_finished_run_says_what_is_missing(tmp_path: Path) -> None:
    done = [summary("baseline", 0, 0.95), summary("baseline", 1, 0.95), summary("lsp", 1, 0.96)]
    run = run_results(write_run(tmp_path / "run", done, seeds=(0, 1), methods=("lsp", "baseline")))
    assert run.missing == ["teacher", "lsp, seed 0"]
    assert run.comparisons[0].differences == {1: pytest.approx(1.0)}
    assert run.comparisons[0].unpaired == [0]


def test_the_baseline_is_expected_where_the_recipe_leaves_it_out(tmp_path: Path) -> None:
    run = run_results(write_run(tmp_path / "run", [], methods=("lsp",), seeds=(7,)))
    assert run.missing == ["teacher", "baseline, seed 7", "lsp, seed 7"]
    assert run.rows == []


def test_a_run_from_before_the_baseline_was_called_so_is_read(tmp_path: Path) -> None:
    done = [summary("alone", 0, 0.95), summary("lsp", 0, 0.96)]
    run = run_results(write_run(tmp_path / "run", done, seeds=(0,), methods=("alone", "lsp")))
    assert [row.method for row in run.rows] == ["baseline", "lsp"]
    assert run.missing == ["teacher"]
    assert run.comparisons[0].differences == {0: pytest.approx(1.0)}


def test_a_network_that_the_recipe_does_not_name_is_kept(tmp_path: Path) -> None:
    done = [summary("stray", 0, 0.9), summary("baseline", 0, 0.95)]
    run = run_results(write_run(tmp_path / "run", done))
    assert [row.method for row in run.rows] == ["baseline", "stray"]


def test_results_are_strict_json_with_every_network(run_dir: Path) -> None:
    broken = run_dir / "students" / "at" / "seed-1" / "summary.json"
    broken.write_text(json.dumps(summary("at", 1, math.nan)), encoding="utf-8")
    returned = write_report(run_dir)
    text = (run_dir / "results.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    read = json.loads(text)
    assert read == returned
    assert len(read["networks"]) == 10
    assert {"title", "recipe", "hardware", "versions", "protocol", "primary_metric"} <= set(read)


def test_selection_by_different_metrics_does_not_mix(tmp_path: Path) -> None:
    done = [summary("baseline", 0, 0.9), summary("lsp", 0, 0.9, name="accuracy")]
    with pytest.raises(DataError, match="different metrics: accuracy, micro_f1"):
        run_results(write_run(tmp_path / "run", done))


def test_a_broken_recipe_or_environment_is_named(run_dir: Path) -> None:
    (run_dir / "environment.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"environment\.json is damaged"):
        run_results(run_dir)
    (run_dir / "environment.json").unlink()
    (run_dir / "recipe.toml").write_text("title = ", encoding="utf-8")
    with pytest.raises(DataError, match=r"recipe\.toml is not TOML"):
        run_results(run_dir)


def test_a_folder_that_is_no_run_names_the_nearest(run_dir: Path) -> None:
    with pytest.raises(DataError, match=f"did you mean {run_dir}"):
        run_results(run_dir.parent / "ppi-lps")
    assert nearest_run(run_dir.parent) == run_dir
    assert nearest_run(run_dir / "students" / "lsp") == run_dir


def test_without_a_run_around_the_error_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give a folder that gkd run has written"):
        run_results(tmp_path / "nothing" / "here")


def test_methods_are_compared_with_their_own_student_alone(tmp_path: Path) -> None:
    values = {"baseline": 0.9, "lsp": 0.92, "wide-baseline": 0.95, "wide": 0.94, "deep": 0.99}
    folder = write_run(
        tmp_path / "run",
        [summary(name, 0, value) for name, value in values.items()],
        methods=tuple(values),
        seeds=(0,),
    )
    recipe = (folder / "recipe.toml").read_text()
    for name, width in (("wide-baseline", 64), ("wide", 64), ("deep", 8)):
        student = f'student = {{ name = "gat", params = {{ width = {width} }} }}'
        recipe = recipe.replace(f'name = "{name}"\n', f'name = "{name}"\n{student}\n')
    for name in ("lsp", "wide", "deep"):
        recipe = recipe.replace(f'name = "{name}"\n', f'name = "{name}"\nterms = [{{}}]\n')
    (folder / "recipe.toml").write_text(recipe)
    differences = {one.method: one.mean for one in run_results(folder).comparisons}
    assert differences == {"lsp": pytest.approx(2), "wide": pytest.approx(-1)}
