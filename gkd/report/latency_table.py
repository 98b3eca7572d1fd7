"""How long the networks of a run take to answer a request, beside each other."""

from collections.abc import Sequence

from gkd.evaluation.formats import significant
from gkd.report.latencies import AGAIN, NetworkLatency, Request
from gkd.report.table import Table, known

LATENCY = (
    "Time of a request, ms: half take less / 99 of 100 take less; for a whole sample whose graph "
    "was never seen, or was; for some nodes of a graph, their neighbourhood fetched"
)
_HEADINGS = {"first": "sample, first", AGAIN: "sample, again", "1": "1 node"}


def latency_table(latencies: Sequence[NetworkLatency]) -> Table | None:
    """One row per network; None where nothing was measured."""
    kinds = list(dict.fromkeys(kind for one in latencies for kind in one.requests))
    if not kinds:
        return None
    header = ["network", *(_HEADINGS.get(kind, f"{kind} nodes") for kind in kinds)]
    body = [
        [", ".join(one.methods), *(known(one.requests.get(kind), _written) for kind in kinds)]
        for one in latencies
    ]
    return Table(header, body)


def _written(request: Request) -> str:
    return f"{significant(request.p50)} / {significant(request.p99)}"
