"""Laws of a report: nothing is lost, and order does not matter."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_directories import summary

from gkd.evaluation.metric import Metric
from gkd.report.comparison import compare_methods, summary_rows
from gkd.report.results import Results
from gkd.report.summary import Summary
from gkd.report.table import comparison_table, network_table

METHODS = ("baseline", "lsp", "kd", "at")
BASELINES = dict.fromkeys(METHODS[1:], "baseline")
NETWORKS = st.dictionaries(
    st.tuples(st.sampled_from(("teacher", *METHODS)), st.integers(0, 5)),
    st.floats(0, 1),
    min_size=1,
    max_size=12,
)


def read(networks: Mapping[tuple[str, int], float]) -> list[Summary]:
    return [
        Summary.model_validate(summary(method, seed, value))
        for (method, seed), value in networks.items()
    ]


def results(networks: list[Summary]) -> Results:
    texts: dict[str, Any] = {"title": "", "directory": "", "recipe": "", "hardware": None}
    return Results(
        **texts,
        versions={},
        protocol={},
        primary_metric="micro_f1",
        networks=networks,
        missing=[],
        rows=summary_rows(networks, "micro_f1"),
        comparisons=compare_methods(networks, Metric("micro_f1"), BASELINES),
    )


@given(networks=NETWORKS, random=st.randoms())
def test_rows_do_not_depend_on_the_order_of_summaries(
    networks: dict[tuple[str, int], float], random: Any
) -> None:
    ordered = read(networks)
    shuffled = random.sample(ordered, len(ordered))
    by_method = [
        {row.method: row for row in summary_rows(one, "micro_f1")} for one in (ordered, shuffled)
    ]
    assert by_method[0] == by_method[1]
    verdicts = [
        {one.method: one.verdict for one in compare_methods(group, Metric("micro_f1"), BASELINES)}
        for group in (ordered, shuffled)
    ]
    assert verdicts[0] == verdicts[1]


@given(networks=NETWORKS)
def test_rows_hold_the_mean_and_deviation_of_their_seeds(
    networks: dict[tuple[str, int], float],
) -> None:
    for row in summary_rows(read(networks), "micro_f1"):
        values = [value for (method, _), value in networks.items() if method == row.method]
        assert row.test["micro_f1"].mean == pytest.approx(np.mean(values))
        if len(values) > 1:
            assert row.test["micro_f1"].std == pytest.approx(np.std(values, ddof=1), abs=1e-9)


@given(networks=NETWORKS)
def test_no_summary_is_lost(networks: dict[tuple[str, int], float]) -> None:
    run = results(read(networks))
    assert {(row.method, seed) for row in run.rows for seed in row.seeds} == set(networks)
    assert len(network_table([run]).body) == len(networks)
    assert len(comparison_table([run]).body) == len({method for method, _ in networks})


@given(networks=NETWORKS)
def test_results_survive_json(networks: dict[tuple[str, int], float]) -> None:
    run = results(read(networks))
    assert Results.model_validate_json(run.model_dump_json()) == run
