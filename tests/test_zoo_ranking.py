"""The ranking of a run whose methods a sweep has tuned."""

import json

import pytest
from programs import program

RECIPE = """
[teacher]
name = "gat"
[student]
name = "mlp"
[training]
learning_rate = 0.1
[[methods]]
name = "at"
terms = [{ loss = "at", weight = 5.0 }]
training = { learning_rate = 0.02 }
[[methods]]
name = "kd"
terms = [{ loss = "kd", weight = 2.0 }]
[[methods]]
name = "baseline"
"""
BASE = {"0": 0.5, "1": 0.51, "2": 0.52}


@pytest.fixture(scope="module")
def rank():
    return program("results/zoo/rank.py")


@pytest.fixture
def run(tmp_path):
    def write(lower_is_better=False):
        values = {
            "teacher": {"0": 0.9, "1": 0.9, "2": 0.9},
            "at": {"0": 0.49, "1": 0.54, "2": 0.51},
            "kd": {"0": 0.6, "1": 0.612, "2": 0.618},
            "baseline": BASE,
        }
        rows = [
            {
                "method": name,
                "test": {
                    "m": {"mean": sum(one.values()) / 3, "std": 0.01, "values": one},
                },
            }
            for name, one in values.items()
        ]
        metric = {"name": "m", "higher_is_better": not lower_is_better, "share": True}
        results = {"metrics": [metric], "primary_metric": "m", "rows": rows}
        (tmp_path / "results.json").write_text(json.dumps(results))
        (tmp_path / "recipe.toml").write_text(RECIPE)
        return tmp_path

    return write


def test_methods_are_ranked_by_their_mean_with_intervals_and_what_was_found(rank, run):
    table = rank.ranking(run())
    assert [row[:2] for row in table.body] == [
        ["–", "teacher"],
        ["1", "kd"],
        ["2", "at"],
        ["–", "baseline"],
    ]
    found = {row[1]: dict(zip(table.header, row, strict=True)) for row in table.body}
    assert found["kd"]["Δ to baseline"].startswith("+10.00 (")
    assert found["kd"]["Δ to baseline"].endswith(", better)")
    assert found["kd"]["Δ to kd"] == "–"
    # Differences of −1, 3 and −1: the interval holds 0, so nothing is said of them.
    assert found["at"]["Δ to baseline"].startswith("+0.33 (−")
    assert "better" not in found["at"]["Δ to baseline"]
    assert found["at"]["Δ to kd"].startswith("−9.67 (")
    assert (found["at"]["learning rate"], found["at"]["weight"]) == ("0.0200", "5.00")
    assert (found["kd"]["learning rate"], found["kd"]["weight"]) == ("0.100", "2.00")
    assert found["baseline"]["weight"] == "–"


def test_a_teacher_of_all_seeds_has_no_spread(rank, run):
    path = run() / "results.json"
    results = json.loads(path.read_text())
    results["rows"][0]["test"]["m"] = {"mean": 0.9, "std": None, "values": {"0": 0.9}}
    path.write_text(json.dumps(results))
    assert rank.ranking(path.parent).body[0][2] == "90.00"


def test_the_lowest_comes_first_where_lower_is_better(rank, run):
    order = [row[1] for row in rank.ranking(run(lower_is_better=True)).body]
    assert order == ["baseline", "at", "kd", "teacher"]


def test_the_folder_holds_what_the_page_of_the_zoo_takes(rank, run, tmp_path, monkeypatch):
    monkeypatch.setattr(rank, "HERE", tmp_path / "zoo")
    (run() / "table.md").write_text("all of it")
    (tmp_path / "zoo").mkdir()
    rank.main(tmp_path, "here")
    written = {file.name: file.read_text() for file in (tmp_path / "zoo" / "here").iterdir()}
    assert set(written) == {"ranking.md", "recipe.toml", "table.md"}
    said, _, table = written["ranking.md"].partition("\n\n")
    assert said == "The teacher is `gat`, the student `mlp`."
    assert table.splitlines()[2].startswith("| –    | teacher")
