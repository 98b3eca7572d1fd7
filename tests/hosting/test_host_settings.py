"""``GKD_PLUGINS`` and ``GKD_STRICT_PLUGINS``."""

import pytest
from fake_distributions import GOOD, Site
from hypothesis import given
from hypothesis import strategies as st

import gkd
from gkd.hosting.loading import PluginSettings
from gkd.hosting.records import Source, State, canonical_name

BROKEN = "raise RuntimeError('no way')"


@pytest.fixture
def plugins(site: Site) -> Site:
    """One sound and one broken plugin."""
    site.add("good-plugin", GOOD, entry_points={"fine": "good_plugin"})
    site.add("bad-plugin", BROKEN, entry_points={"broken": "bad_plugin"})
    return site


def _states(host: gkd.Host) -> dict[str, State]:
    return {r.source.distribution: r.state for r in host.plugins if "-plugin" in r.source.qualified}


@pytest.mark.parametrize(
    "allowed", ["fine", "good-plugin", "Good_Plugin", "good-plugin:fine", " fine , fine,"]
)
def test_only_what_is_listed_is_used(
    plugins: Site, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    monkeypatch.setenv("GKD_PLUGINS", allowed)
    host = gkd.create_host()
    assert host.names("loss") == ["good"]
    assert _states(host) == {"good-plugin": State.ACTIVE, "bad-plugin": State.BLOCKED}


def test_names_are_compared_as_package_indexes_do(
    plugins: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKD_PLUGINS", "Good.Plugin, BROKEN")
    states = _states(gkd.create_host())
    assert states == {"good-plugin": State.ACTIVE, "bad-plugin": State.FAILED}


def test_empty_is_none(plugins: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GKD_PLUGINS", "")
    host = gkd.create_host()
    assert all(record.state is State.BLOCKED for record in host.plugins)
    assert all(host.names(kind) == [] for kind in ("loss", "kernel", "graph", "model", "dataset"))


def test_unset_is_all(plugins: Site) -> None:
    host = gkd.create_host()
    assert _states(host) == {"good-plugin": State.ACTIVE, "bad-plugin": State.FAILED}


def test_a_blocked_plugin_is_not_imported(plugins: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GKD_PLUGINS", "fine")
    monkeypatch.setenv("GKD_STRICT_PLUGINS", "1")
    assert gkd.create_host().names("loss") == ["good"]


def test_a_missing_name_tells_that_a_plugin_is_blocked(
    plugins: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKD_PLUGINS", "broken")
    with pytest.raises(gkd.UnknownNameError, match=r"good-plugin .*: not in GKD_PLUGINS"):
        gkd.create_host().create("loss", "good")


def test_many_plugins_that_are_left_out_are_one_line(
    plugins: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        plugins.add(f"other-{number}", GOOD)
    monkeypatch.setenv("GKD_PLUGINS", "gkd,broken")
    with pytest.raises(gkd.UnknownNameError) as caught:
        gkd.create_host().create("loss", "nowhere-offered")
    lines = str(caught.value).splitlines()
    (line,) = [line for line in lines if line.endswith("not in GKD_PLUGINS")]
    assert "other-0 1.2" in line
    assert "and 3 more" in line
    assert sum("bad-plugin" in one for one in lines) == 1


@pytest.mark.parametrize(
    ("allowed", "nearest"),
    [("fien", "fine"), ("god-plugin", "good-plugin"), ("good-plugin:fin", "good-plugin:fine")],
)
def test_an_unknown_entry_tells_the_nearest(
    plugins: Site, monkeypatch: pytest.MonkeyPatch, allowed: str, nearest: str
) -> None:
    monkeypatch.setenv("GKD_PLUGINS", allowed)
    with pytest.raises(gkd.PluginError, match="GKD_PLUGINS names") as caught:
        gkd.create_host()
    assert f"did you mean {nearest!r}?" in str(caught.value)


def test_strict_names_all_that_are_broken(plugins: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins.add("worse-plugin", "raise ValueError('worse')")
    monkeypatch.setenv("GKD_STRICT_PLUGINS", "1")
    with pytest.raises(gkd.PluginError) as caught:
        gkd.create_host()
    assert "bad-plugin 1.2 (plugin 'broken'): RuntimeError: no way" in str(caught.value)
    assert "worse-plugin 1.2 (plugin 'plug'): ValueError: worse" in str(caught.value)


@pytest.mark.parametrize(("value", "strict"), [("", False), ("0", False), ("1", True)])
def test_strictness_is_a_bit(value: str, strict: bool) -> None:
    assert PluginSettings.from_environment({"GKD_STRICT_PLUGINS": value}).strict is strict


def test_anything_else_is_refused() -> None:
    with pytest.raises(gkd.PluginError, match="GKD_STRICT_PLUGINS must be 0 or 1, got 'perhaps'"):
        PluginSettings.from_environment({"GKD_STRICT_PLUGINS": "perhaps"})


names = st.text("abcXYZ-_.", min_size=1, max_size=6)
sources = st.sets(st.builds(Source, names, st.just("1.0"), names), max_size=5)


@given(sources)
def test_each_plugin_can_be_named_alone_and_all_together(known: set[Source]) -> None:
    for source in known:
        chosen = PluginSettings((source.qualified,)).select(known)
        assert source in chosen
        assert {canonical_name(s.qualified) for s in chosen} == {canonical_name(source.qualified)}
    everything = tuple(source.qualified for source in known)
    assert PluginSettings(everything).select(known) == known
    assert PluginSettings(None).select(known) == known
    assert PluginSettings(()).select(known) == set()
