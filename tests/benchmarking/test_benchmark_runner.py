"""The runner: ratios, turns, errors, goals, on a clock that the test turns."""

import json

import pytest
import torch
from fake_benchmark import Clock, Timed

from gkd.benchmarking import Benchmark, Goal, Setting
from gkd.benchmarking.measurement import Measurement, Side, measure
from gkd.benchmarking.timing import Spread, alternating_times, copy_bandwidth
from gkd.commands.bench import print_measurements

CPU = torch.device("cpu")


def timed(goal: Goal | None = None, **seconds: list[float]) -> Measurement:
    clock = Clock()
    return measure("timed", Timed(clock, goal=goal, **seconds), Setting(), 4, clock=clock)


def measured(
    goal: Goal, speed: float = 2.0, step_bytes: int | None = 100, process_bytes: int | None = 100
) -> Measurement:
    ours = Side("gkd", Spread.of([1.0]), step_bytes, process_bytes)
    theirs = Side("slow", Spread.of([speed]), 100, 100)
    return Measurement("timed", ours, theirs, Spread.of([speed]), (1.0, 1.0), goal)


def test_the_ratio_is_the_alternatives_time_over_ours() -> None:
    result = timed(ours=[2.0], theirs=[7.0])
    assert result.speed == Spread(3.5, 3.5, 3.5)
    assert result.time.median == pytest.approx(2 / 7)
    assert (result.ours.seconds.median, result.theirs.seconds.median) == (2.0, 7.0)


def test_ratios_are_taken_within_a_turn() -> None:
    # Warm-up takes the first; then a machine that gets slower slows both.
    result = timed(ours=[9.0, 1.0, 2.0, 4.0, 8.0], theirs=[9.0, 3.0, 6.0, 12.0, 24.0])
    assert result.speed == Spread(3.0, 3.0, 3.0)
    assert result.ours.seconds.median == 3.0


def test_the_time_of_all_cores_is_there_beside_that_of_the_clock() -> None:
    clock, cores = Clock(), Clock()
    benchmark = Timed(clock)

    def cpu_clock() -> float:
        cores.now += len(benchmark.calls)  # more with every call
        return cores.now

    result = measure("timed", benchmark, Setting(), 4, clock=clock, cpu_clock=cpu_clock)
    assert result.speed.median == 3.0
    assert result.ours.cpu_seconds is not None
    assert result.cpu_speed is not None
    assert 0.5 < result.cpu_speed.median < 2
    assert result.to_dict()["ours"]["cpu_seconds"]["median"] > 1


def test_works_take_turns_and_so_does_who_comes_first() -> None:
    benchmark = Timed()
    works = [benchmark.ours(Setting()), benchmark.theirs(Setting())]
    alternating_times(works, 3, CPU, clock=benchmark.clock)
    a, b = "ours", "theirs"
    assert benchmark.calls == [a, b, b, a, a, b, b, a]


def test_units_make_large_and_small_comparable() -> None:
    clock = Clock()
    benchmark = Timed(clock, ours=[20.0], theirs=[1.0], goal=Goal(time=3.0))
    benchmark.units = (100.0, 10.0)
    result = measure("growth", benchmark, Setting(), 3, clock=clock)
    assert result.time.median == pytest.approx(2.0)
    assert result.reached


def test_both_are_compared_with_the_alternative_in_float64() -> None:
    result = timed()
    assert result.theirs.error == 0.0  # the same numbers, without round-off
    exact = torch.tensor([1.0, 2.0 + 2.0**-20], dtype=torch.float64)
    assert result.ours.error == pytest.approx(float(2**0.5 / exact.norm()))


def test_where_the_sides_differ_each_is_compared_with_itself() -> None:
    clock = Clock()
    benchmark = Timed(clock)
    benchmark.same_result = False
    result = measure("timed", benchmark, Setting(), 1, clock=clock)
    # In float64 our side does not go wrong, in float32 it does.
    assert result.ours.error > 0.1
    assert result.theirs.error == 0.0


def test_errors_count_from_the_numbers_that_the_precision_can_hold() -> None:
    clock = Clock()
    setting = Setting(dtype=torch.bfloat16)
    result = measure("timed", Timed(clock), setting, 1, clock=clock)
    assert result.theirs.error == 0.0


def test_no_results_have_no_error() -> None:
    class Silent(Timed):
        def results(self, setting, *, ours):
            return []

    clock = Clock()
    result = measure("silent", Silent(clock), Setting(), 1, clock=clock)
    assert result.ours.error is result.theirs.error is None


def test_the_largest_error_counts() -> None:
    one, ten = torch.ones(2), torch.full((2,), 10.0)
    error = Timed().error([one * 1.5, ten], [one.double(), ten.double()])
    assert error == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal(), None),
        (Goal(speed=1.9), True),
        (Goal(speed=2.1), False),
        (Goal(time=0.51), True),
        (Goal(time=0.49), False),
        (Goal(memory=1.0), True),
        (Goal(memory=0.9), False),
        (Goal(time=0.51, memory=0.9), False),
        (Goal(process_bytes=100), True),
        (Goal(process_bytes=99), False),
    ],
)
def test_a_goal_is_reached_in_every_respect(goal: Goal, reached: bool | None) -> None:
    assert measured(goal).reached is reached


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert measured(Goal(memory=1.0), step_bytes=None).reached is None
    assert measured(Goal(process_bytes=1), process_bytes=None).reached is None
    assert measured(Goal(speed=9.0, memory=1.0), step_bytes=None).reached is False


def test_spread_is_the_median_and_the_outer_tenths() -> None:
    assert Spread.of([5.0]) == Spread(5.0, 5.0, 5.0)
    assert Spread.of([float(n) for n in range(11)]) == Spread(5.0, 1.0, 9.0)


def test_everything_is_json() -> None:
    form = json.loads(json.dumps(timed(goal=Goal(speed=2.0)).to_dict()))
    assert form["case"] == "timed"
    assert form["ours"]["name"] == "gkd"
    assert form["theirs"]["name"] == "slow"
    assert form["speed"] == {"median": 3.0, "low": 3.0, "high": 3.0}
    assert form["time"]["median"] == pytest.approx(1 / 3)
    assert form["goal"]["speed"] == 2.0
    assert form["reached"] is True


def test_traffic_becomes_a_share_of_the_bandwidth(capsys) -> None:
    class Busy(Timed):
        def traffic(self) -> int:
            return 4000

    clock = Clock()
    result = measure("busy", Busy(clock, ours=[2.0]), Setting(), 1, clock=clock)
    assert result.bandwidth_share is not None
    assert 0 < result.bandwidth_share < 1e-3
    print_measurements(
        [result],
        {},
        {"hardware": {"cpu": "x", "threads": 1}, "versions": {"torch": "2"}, "dtype": "float32"},
    )
    assert "busy: gkd moves data at 0% of the speed of a plain copy" in capsys.readouterr().out
    assert copy_bandwidth(CPU, num_bytes=2**16) > 0


def test_a_benchmark_says_what_both_sides_are() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Benchmark()
