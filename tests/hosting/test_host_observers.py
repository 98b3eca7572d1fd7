"""Observers of training steps: told of every step, and set aside when they raise."""

import sys
from dataclasses import FrozenInstanceError
from textwrap import dedent
from unittest.mock import sentinel

import pytest
from fake_distributions import GOOD, Site

import gkd
from gkd.hosting.host import create_host
from gkd.hosting.records import State

FRAGILE = dedent(GOOD) + dedent("""
    calls = []

    def explode():
        raise ValueError("cannot plot")

    @hookimpl
    def gkd_step(event):
        calls.append(event)
        explode()
""")


def _event(step: int = 0) -> gkd.StepEvent:
    return gkd.StepEvent(epoch=0, step=step, report=sentinel.report)


class Watcher:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.seen: list[gkd.StepEvent] = []

    @gkd.hookimpl
    def gkd_step(self, event: gkd.StepEvent) -> None:
        self.seen.append(event)


def test_all_observers_see_every_step() -> None:
    host, watchers = create_host(discover=False), [Watcher(), Watcher()]
    for name, watcher in zip("ab", watchers, strict=True):
        assert host.register(watcher, name=name).observers
    events = [_event(step) for step in range(3)]
    for event in events:
        host.notify(event)
    assert [watcher.seen for watcher in watchers] == [events, events]


def test_an_observer_need_not_take_the_event() -> None:
    class Counter:
        count = 0

        @gkd.hookimpl
        def gkd_step(self) -> None:
            Counter.count += 1

    host = create_host(discover=False)
    host.register(Counter())
    host.notify(_event())
    assert Counter.count == 1


def test_nobody_needs_to_watch() -> None:
    assert create_host(discover=False).notify(_event()) is None


def test_one_that_raises_is_reported_once_and_disabled(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    file = site.add("fragile-plugin", FRAGILE)
    host, watcher = site.host(), Watcher()
    host.register(watcher)
    for step in range(3):
        host.notify(_event(step))
    assert len(watcher.seen) == 3
    (message,) = caplog.messages
    line = 1 + FRAGILE.splitlines().index('    raise ValueError("cannot plot")')
    assert message == (
        "fragile-plugin 1.2 (plugin 'plug'): observing a training step raised "
        f"ValueError: cannot plot [{file}:{line}]; it no longer observes"
    )
    assert len(sys.modules["fragile_plugin"].calls) == 1


def test_its_components_stay(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.add("fragile-plugin", FRAGILE)
    host = site.host()
    host.notify(_event())
    (record,) = (r for r in host.plugins if r.source.distribution == "fragile-plugin")
    assert (record.state, record.observers) == (State.ACTIVE, [])
    assert "cannot plot" in record.cause
    assert isinstance(host.create("loss", "good"), gkd.AbstractLoss)


def test_a_plugin_of_several_observers_ends_with_the_first_that_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fragile:
        @gkd.hookimpl
        def gkd_step(self) -> None:
            raise ValueError("cannot plot")

        @gkd.hookimpl(specname="gkd_step")
        def later(self) -> None:
            raise ValueError("cannot count")

    host, watcher = create_host(discover=False), Watcher()
    host.register(Fragile())
    host.register(watcher)
    host.notify(_event())
    host.notify(_event(1))
    assert len(watcher.seen) == 2
    assert len(caplog.messages) == 1


def test_the_record_of_one_that_was_refused_under_its_name_stays() -> None:
    class Refused(Watcher):
        @gkd.hookimpl
        def gkd_losses(self) -> None: ...

    class Fragile:
        @gkd.hookimpl
        def gkd_step(self) -> None:
            raise ValueError("cannot plot")

    host = create_host(discover=False)
    with pytest.raises(gkd.PluginError, match="returned NoneType"):
        host.register(Refused(), name="watch")
    host.register(Fragile(), name="watch")
    host.notify(_event())
    refused, fragile = host.plugins
    assert "returned NoneType" in refused.cause
    assert "cannot plot" in fragile.cause


def test_a_strict_host_raises_with_the_origin(site: Site) -> None:
    site.add("fragile-plugin", FRAGILE)
    host = site.host(strict=True)
    with pytest.raises(gkd.PluginError, match=r"fragile-plugin 1.2 .*cannot plot") as caught:
        host.notify(_event())
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_interruption_passes_through() -> None:
    class Impatient:
        @gkd.hookimpl
        def gkd_step(self, event: gkd.StepEvent) -> None:
            raise KeyboardInterrupt

    host = create_host(discover=False)
    host.register(Impatient())
    with pytest.raises(KeyboardInterrupt):
        host.notify(_event())


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        _event().step = 3  # type: ignore[misc]
