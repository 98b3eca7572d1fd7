"""What a report says of terms that had no say, or all of it."""

from pathlib import Path

import pytest
from run_directories import summary, write_run

from gkd.report import figures
from gkd.report.html import page
from gkd.report.results import Results, run_results
from gkd.report.table import verdicts


def with_shares(seed: int, *shares: float) -> dict:
    one = summary("lsp", seed, 0.9)
    for row, share in zip(one["history"], shares, strict=False):
        row["share/lsp"] = share
    return one


def run_of(folder: Path, *students: dict) -> Results:
    baselines = [summary("baseline", seed, 0.8) for seed in range(len(students))]
    return run_results(write_run(folder, [*baselines, *students], methods=("baseline", "lsp")))


def test_a_term_that_died_is_named_beside_the_verdict(tmp_path: Path) -> None:
    students = with_shares(0, 0.3, 1e-4, 1e-5, 0), with_shares(1, 0.3, 0.2, 1e-5, 1e-6)
    run = run_of(tmp_path, *students, with_shares(2, 0.3, 1e-9, 0.1, 0.1))
    (sentence,) = verdicts(run)
    said = (
        "The term 'lsp' was dead from epoch 2 to 3 on with 2 of 3 seeds: its gradient was below "
        "0.1 % of the task's. A larger weight"
    )
    assert said in sentence
    assert sentence.startswith("lsp: +10.00 points to the baseline")
    assert said.replace("'", "&#39;") in page([run])


@pytest.mark.parametrize("first", [1e-4, 0.3])
def test_a_method_whose_terms_never_acted_was_not_tried(tmp_path: Path, first: float) -> None:
    students = [with_shares(seed, 1e-5, 0, 1e-6, 0) for seed in range(3)]
    students[2]["history"][1]["share/lsp"] = first  # of 0.3 it had a say, if only once
    (one,) = run_of(tmp_path, *students).comparisons
    assert (one.verdict.startswith("lsp was not tried")) == (first < 1e-3)
    assert one.mean == pytest.approx(10)


def test_a_term_that_drowned_the_task_is_named(tmp_path: Path) -> None:
    run = run_of(tmp_path, with_shares(0, 25.0, 0.2, 0.2, 0.2))
    assert "drowned the task: its gradient was up to 25 times the task's." in verdicts(run)[0]


def test_a_term_that_lived_needs_no_words(tmp_path: Path) -> None:
    run = run_of(tmp_path, with_shares(0, 0.3, 1e-4, 0.2, 0.2))
    assert "term" not in verdicts(run)[0]
    figure = figures.gradient_shares(run)
    assert figure is not None
    figure.draw_without_rendering()


def test_without_shares_there_is_no_figure(tmp_path: Path) -> None:
    assert figures.gradient_shares(run_of(tmp_path, summary("lsp", 0, 0.9))) is None
