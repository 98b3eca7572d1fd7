"""When a method is as good as the baseline is in the end."""

from pathlib import Path

import pytest
from run_directories import summary, write_run

from gkd.report.results import Results, run_results
from gkd.report.table import comparison_table

SECONDS = 30.0


def network(method: str, seed: int, *validation: float, name: str = "micro_f1", **more) -> dict:
    one = summary(method, seed, max(validation), name=name, **more)
    one["history"] = [
        {"epoch": epoch, "seconds": SECONDS, f"validation/{name}": value}
        for epoch, value in enumerate(validation)
    ]
    return one


def run_of(folder: Path, *networks: dict) -> Results:
    return run_results(write_run(folder, networks, methods=("baseline", "lsp", "kd")))


def cells(run: Results) -> list[str]:
    table = comparison_table([run])
    column = table.header.index("as good as the baseline after")
    return [row[column] for row in table.body]


def test_the_first_epoch_that_is_as_good_as_the_baseline_of_its_seed(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        network("teacher", 0, 0.9),
        network("baseline", 0, 0.1, 0.5, 0.4),
        network("baseline", 1, 0.1, 0.2, 0.3),
        network("lsp", 0, 0.5, 0.1, 0.6),
        network("lsp", 1, 0.1, 0.2, 0.25),
        network("kd", 0, 0.1, 0.2, 0.3),
    )
    lsp = run.reached["lsp"]
    assert (lsp.epochs, lsp.seconds, lsp.seeds, lsp.of, lsp.unknown) == (1, SECONDS, 1, 2, 0)
    assert run.reached["baseline"].epochs == pytest.approx(2.5)
    assert cells(run) == [
        "–",
        "2.5 epochs, 1.25 min",
        "1 epoch, 30.0 s (1 of 2 seeds)",
        "never",
    ]


def test_where_lower_is_better(tmp_path: Path) -> None:
    error = {"name": "mae", "primary_metric": "mae"}
    error["metrics"] = [{"name": "mae", "higher_is_better": False, "share": False}]
    baseline = network("baseline", 0, 0.5, 0.4, **error)
    baseline["validation"] = {"mae": 0.4}
    run = run_of(tmp_path, baseline, network("lsp", 0, 0.6, 0.3, **error))
    assert run.reached["lsp"].epochs == 2


def test_a_student_whose_history_lacks_epochs_is_not_counted_and_the_table_says_so(
    tmp_path: Path,
) -> None:
    networks = [network("baseline", seed, 0.1, 0.5, 0.4) for seed in range(3)]
    networks += [network("lsp", seed, 0.5, 0.1, 0.6) for seed in range(3)]
    networks += [network("kd", seed, 0.1, 0.2, 0.3) for seed in range(2)]
    for one in networks:
        if one["seed"] > 0:
            del one["history"][1]
    run = run_of(tmp_path, *networks)
    assert {name: one.unknown for name, one in run.reached.items()} == {
        "baseline": 2, "lsp": 2, "kd": 1,
    }  # fmt: skip
    assert cells(run) == [
        "2 epochs, 1.00 min (2 seeds not known)",
        "1 epoch, 30.0 s (2 seeds not known)",
        "never (1 seed not known)",
    ]
