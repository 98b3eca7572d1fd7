import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from run_directories import complete_run, summary, write_run

from gkd.report.html import page
from gkd.report.results import Results, run_results
from gkd.report.size_table import size_table
from gkd.report.table import Table, comparison_table, gaps, network_table, protocol, verdicts

TableOf = Callable[[Sequence[Results]], Table]


@pytest.fixture
def run(tmp_path: Path) -> Results:
    return run_results(complete_run(tmp_path / "ppi-lsp"))


def cells(run: Results, column: str, table_of: TableOf = comparison_table) -> dict[str, str]:
    table = table_of([run])
    index = table.header.index(column)
    return {row[0]: row[index] for row in table.body}


def test_every_method_has_a_row(run: Results) -> None:
    assert list(cells(run, "network")) == ["teacher", "baseline", "lsp", "at"]


def test_the_metric_has_its_spread_over_the_seeds(run: Results) -> None:
    # Seeds 95.7, 95.6, 95.8: mean 95.7, standard deviation 0.1.
    assert cells(run, "test micro F1, % ± s.d.")["baseline"] == "95.70 ± 0.10"
    assert cells(run, "test micro F1, % ± s.d.")["teacher"] == "97.60"
    assert cells(run, "seeds") == {"teacher": "1", "baseline": "3", "lsp": "3", "at": "3"}


def test_size_time_and_difference_are_there(run: Results) -> None:
    assert cells(run, "parameters", size_table)["teacher"] == "3,640,748"
    assert cells(run, "times smaller", size_table) == {
        "teacher": "–",
        "baseline": "19.7×",
        "lsp": "19.7×",
        "at": "19.7×",
    }
    assert cells(run, "Δ to baseline, points")["lsp"] == "+0.39"
    assert cells(run, "95 % interval")["lsp"].startswith("+0.3")
    assert cells(run, "ms per sample", size_table)["lsp"] == "12.0"
    assert cells(run, "training", size_table)["lsp"] == "40.0 s"
    assert cells(run, "s per epoch", size_table)["lsp"] == "10.0"


def test_speed_is_beside_the_teacher_s(tmp_path: Path) -> None:
    done = [
        summary(method, 0, 0.9, milliseconds_per_sample=time)
        for method, time in (("teacher", 30.0), ("baseline", 12.0))
    ]
    run = run_results(write_run(tmp_path / "run", done))
    assert cells(run, "times faster", size_table) == {"teacher": "–", "baseline": "2.50×"}


def test_a_column_that_says_nothing_is_left_out(tmp_path: Path) -> None:
    run = run_results(write_run(tmp_path / "run", [summary("baseline", 0, 0.9)]))
    header = comparison_table([run]).header + size_table([run]).header
    assert "parameters" in header
    assert not {"times smaller", "times faster", "95 % interval", "step memory"} & set(header)


def test_memory_is_shown_where_it_was_measured(tmp_path: Path) -> None:
    measured = summary("baseline", 0, 0.9, peak_memory_bytes=3 * 2**20)
    run = run_results(write_run(tmp_path / "run", [measured]))
    assert cells(run, "step memory", size_table) == {"baseline": "3.00 MiB"}


def test_a_second_metric_gets_its_own_column(tmp_path: Path) -> None:
    values = {"mean_class_accuracy": 0.875, "accuracy": 0.912}
    one = summary("baseline", 0, 0.9, name="accuracy", test=values)
    header = comparison_table([run_results(write_run(tmp_path / "run", [one]))]).header
    metrics = [name for name in header if name.startswith("test ")]
    assert metrics == ["test accuracy, %", "test mean class accuracy, %"]


def test_metrics_that_agree_everywhere_are_one_column(tmp_path: Path) -> None:
    def done(mean_class_accuracy: float) -> list[dict[str, object]]:
        values = {"accuracy": 0.9, "mean_class_accuracy": 0.9}
        others = values | {"mean_class_accuracy": mean_class_accuracy}
        return [
            summary(method, 0, 0.9, name="accuracy", test=test)
            for method, test in (("baseline", values), ("lsp", others))
        ]

    headers = [
        comparison_table([run_results(write_run(tmp_path / "run", done(other)))]).header
        for other in (0.9, 0.8)
    ]
    assert "test accuracy = mean class accuracy, %" in headers[0]
    assert {"test accuracy, %", "test mean class accuracy, %"} <= set(headers[1])


def test_nan_is_shown_and_explained(tmp_path: Path) -> None:
    done = [summary("baseline", 0, 0.9), summary("baseline", 1, math.nan), summary("lsp", 0, 0.95)]
    run = run_results(write_run(tmp_path / "run", done, seeds=(0, 1)))
    assert cells(run, "test micro F1, %")["baseline"] == "NaN"
    assert (
        "baseline: test micro F1 is not a number for seed 1, so there is no mean. "
        "The others: 90.00 (seed 0)."
    ) in gaps(run)
    assert [row[-1] for row in network_table([run]).body] == ["90.00", "NaN", "95.00"]


def test_a_teacher_worse_than_the_baseline_is_said_to_be(tmp_path: Path) -> None:
    def noted(teacher: float, name: str = "micro_f1", **more: object) -> list[str]:
        students = [summary("baseline", seed, 0.9, name=name, **more) for seed in range(2)]
        done = [summary("teacher", 0, teacher, name=name, **more), *students]
        return gaps(run_results(write_run(tmp_path / f"{name}-{teacher}", done, methods=())))

    def weak(teacher: float, name: str = "micro_f1", **more: object) -> bool:
        return any("teacher is worse" in note for note in noted(teacher, name, **more))

    assert (
        "The teacher is worse than the baseline: test micro F1 85.00 % against 90.00 %, the mean "
        "over 2 seeds. Distilling from it can hardly help; train it for longer, or take a larger "
        "one."
    ) in noted(0.85)
    assert not weak(0.9)
    assert not weak(0.95)
    error = {"name": "mae", "higher_is_better": False, "share": False}
    assert weak(0.95, "mae", metrics=[error])
    assert not weak(0.85, "mae", metrics=[error])
    assert not weak(math.nan)


def test_given_weights_have_no_training(tmp_path: Path) -> None:
    teacher = summary("teacher", 0, 0.976)
    for key in ("epochs", "best_epoch", "selection", "validation", "history"):
        del teacher[key]
    teacher |= {"training_seconds": None, "seconds_per_epoch": None}
    run = run_results(write_run(tmp_path / "run", [teacher, summary("baseline", 0, 0.9)]))
    assert cells(run, "training", size_table) == {"teacher": "–", "baseline": "40.0 s"}
    assert network_table([run]).body[0] == ["teacher", "0", "–", "–", "–", "97.60"]
    assert run.protocol["epochs"] == "teacher (given weights), student 4"


def test_runs_are_told_apart(tmp_path: Path) -> None:
    runs = [run_results(complete_run(tmp_path / place / "run")) for place in ("a", "b")]
    table = comparison_table(runs)
    assert table.header[:2] == ["run", "network"]
    assert [row[0] for row in table.body] == ["run"] * 4 + ["run (2)"] * 4


def test_verdicts_give_the_difference_on_every_seed(run: Results) -> None:
    assert verdicts(run)[1].endswith(
        "Per seed: 0: −0.30, 1: +0.10, 2: 0.00. With as many seeds, a gain of 0.64 points is seen "
        "four times in five. Exact sign-flip test: p = 1. It cannot be below 0.25 with 3 seeds."
    )


def test_seeds_without_a_partner_are_mentioned(tmp_path: Path) -> None:
    done = [summary("baseline", 0, 0.9), summary("lsp", 0, 0.9), summary("lsp", 4, 0.9)]
    run = run_results(write_run(tmp_path / "run", done, methods=("lsp",), seeds=(0,)))
    assert any(note.endswith("was trained with them: seeds 4.") for note in gaps(run))


def test_the_protocol_ends_with_hardware_and_versions(run: Results) -> None:
    assert protocol(run)[-2:] == [
        ("hardware", "cpu a CPU, cores 2"),
        ("versions", "gkd 0.1.0, torch 2.13.0"),
    ]


MAE = {"name": "mae", "higher_is_better": False, "share": False}
R2 = {"name": "r2", "higher_is_better": True, "share": True}


def regression(method: str, seed: int, mae: float, r2: float) -> dict[str, object]:
    described = {"primary_metric": "mae", "metrics": [MAE, R2], "test": {"r2": r2, "mae": mae}}
    return summary(method, seed, mae, name="mae", **described)


def test_numbers_with_a_unit_are_no_percents_and_lower_may_be_better(tmp_path: Path) -> None:
    values = {"baseline": (0.5, 0.52, 0.51), "lsp": (0.4, 0.42, 0.413)}
    done = [
        regression(method, seed, mae, 0.9)
        for method, errors in values.items()
        for seed, mae in enumerate(errors)
    ]
    run = run_results(write_run(tmp_path / "run", done, methods=("lsp",)))
    assert run.primary_metric == "mae"
    assert cells(run, "test MAE ↓ ± s.d.") == {"baseline": "0.51 ± 0.01", "lsp": "0.411 ± 0.01015"}
    assert cells(run, "test R2, % ± s.d.")["lsp"] == "90.00 ± 0.00"
    assert cells(run, "Δ to baseline, MAE")["lsp"] == "−0.099"
    assert cells(run, "95 % interval")["lsp"] == "−0.103 to −0.0947"
    assert network_table([run]).header[4:] == ["validation", "test MAE ↓", "test R2, %"]
    assert network_table([run]).body[0][4:] == ["0.5", "0.5", "90.00"]
    assert run.comparisons[0].outcome == "better"
    assert (
        "Per seed: 0: −0.1, 1: −0.1, 2: −0.097. With as many seeds, a gain of 0.00536 MAE"
        in (verdicts(run)[0])
    )
    page([run])


def test_runs_of_different_metrics_say_both_units(tmp_path: Path) -> None:
    other = write_run(tmp_path / "b", [regression("baseline", 0, 0.5, 0.9)])
    runs = [run_results(complete_run(tmp_path / "a")), run_results(other)]
    header = comparison_table(runs).header
    assert "Δ to baseline, points or MAE" in header
    assert "validation" in network_table(runs).header


def test_a_teacher_s_targets_are_described_and_called_what_they_are(tmp_path: Path) -> None:
    training = {
        "micro_f1": 0.991, "confidence": 0.504, "uniform_confidence": 0.5, "calibration_error": 0.02
    }  # fmt: skip
    done = [summary("teacher", 0, 0.9, training=training), summary("baseline", 0, 0.9)]
    run = run_results(write_run(tmp_path / "run", done, seeds=(0,), methods=("baseline",)))
    assert ("teacher on the training rows",
        "micro F1 99.10 %, mean largest probability 0.504 (a guess: 0.500), "
        "expected calibration error 0.020") in protocol(run)  # fmt: skip
    (note,) = gaps(run)
    assert note.startswith("On the training rows, soft targets of the teacher are near uniform (")


def test_runs_of_before_say_nothing_of_their_teacher_s_targets(run: Results) -> None:
    assert gaps(run) == []
    assert "teacher on the training rows" not in dict(protocol(run))


def test_teacher_and_students_may_be_selected_by_different_rules(tmp_path: Path) -> None:
    teacher = summary("teacher", 0, 0.9, selection="the last epoch", primary_metric="micro_f1")
    run = run_results(write_run(tmp_path / "run", [teacher, summary("baseline", 0, 0.9)]))
    assert run.protocol["selection"].startswith(
        "of the teacher the last epoch, of the student the epoch with the best validation micro F1;"
    )
