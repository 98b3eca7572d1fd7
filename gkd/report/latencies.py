"""How long the networks of a run take to answer, as it has measured them side by side."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from gkd.errors import DataError, mistakes
from gkd.files import read_sealed_json
from gkd.report.summary import Seconds, Summary

FILE_NAME = "latency.json"
AGAIN = "again"
"""Kind of the requests for a sample whose graph was seen before."""


class Request(BaseModel):
    """Milliseconds of requests of one kind: the median, the 99th percentile, and of all cores."""

    p50: Seconds
    p99: Seconds
    cpu: Seconds


class NetworkLatency(BaseModel):
    """One network: the methods that train such, ``"teacher"`` among them, and its requests."""

    methods: list[str]
    requests: dict[Annotated[str, Field(max_length=20)], Request]


class Latencies(BaseModel):
    """What a run has measured, with so many threads."""

    threads: int = 1
    networks: list[NetworkLatency] = []


def read_latencies(directory: Path) -> list[NetworkLatency]:
    """Return what a run has measured; nothing of older and unfinished runs.

    Raises:
        DataError: the file is damaged.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        return []
    try:
        return Latencies.model_validate(read_sealed_json(path)).networks
    except ValidationError as error:
        place, sentence = next(mistakes(error, Latencies))
        raise DataError(f"{path}: {'.'.join(map(str, place))}: {sentence}") from error


def with_latency(summary: Summary, latencies: Iterable[NetworkLatency]) -> Summary:
    """Return a summary with the time of its network, where it was measured beside the others."""
    for one in latencies:
        if summary.method in one.methods and AGAIN in one.requests:
            time = one.requests[AGAIN].p50
            return summary.model_copy(update={"milliseconds_per_sample": time})
    return summary
