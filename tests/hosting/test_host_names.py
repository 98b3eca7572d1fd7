"""Names: unknown, shared by two distributions, qualified."""

from textwrap import dedent

import pytest
from fake_distributions import GOOD, Site

import gkd
from gkd.hosting.host import Host, create_host
from gkd.hosting.records import State

KINDS = ("loss", "kernel", "graph", "model", "dataset", "task")


@pytest.fixture
def two(site: Site) -> Host:
    """A host with two distributions that both offer the loss 'good'."""
    site.add("first-plugin", GOOD, version="1.0")
    site.add("Second_Plugin", GOOD, version="2.0")
    return site.host()


def test_a_shared_name_is_refused_and_both_distributions_named(two: Host) -> None:
    with pytest.raises(gkd.PluginError) as caught:
        two.create("loss", "good")
    assert str(caught.value) == (
        "loss 'good' is offered by first-plugin 1.0 and Second_Plugin 2.0; "
        "ask for 'first-plugin:good' or 'Second_Plugin:good'"
    )


@pytest.mark.parametrize(
    ("name", "version"),
    [("first-plugin:good", "1.0"), ("Second_Plugin:good", "2.0"), ("second-plugin:good", "2.0")],
)
def test_a_qualified_name_chooses(two: Host, name: str, version: str) -> None:
    assert two.component("loss", name).source.version == version
    assert isinstance(two.create("loss", name), gkd.AbstractLoss)


def test_listings_show_both_qualified(two: Host) -> None:
    names = two.names("loss")
    assert {"first-plugin:good", "Second_Plugin:good"} < set(names)
    assert "good" not in names
    assert names == sorted(names)


@pytest.mark.parametrize("kind", KINDS)
def test_every_listed_name_can_be_asked_for(two: Host, kind: str) -> None:
    for name in two.names(kind):
        assert two.component(kind, name).kind == kind


def test_a_qualified_name_works_without_a_conflict_too(site: Site) -> None:
    site.add("first-plugin", GOOD)
    assert isinstance(site.host().create("loss", "first-plugin:good"), gkd.AbstractLoss)


def test_a_third_distribution_does_not_hide_the_conflict(site: Site, two: Host) -> None:
    site.add("third-plugin", GOOD, version="3.0")
    with pytest.raises(gkd.PluginError, match="third-plugin"):
        site.host().create("loss", "good")


def test_one_name_may_stand_for_different_kinds(site: Site) -> None:
    site.add("first-plugin", GOOD)
    source = "from gkd import hookimpl\n@hookimpl\ndef gkd_models(): return {'good': object}"
    site.add("second-plugin", source)
    assert "good" in site.host().names("loss")
    assert "good" in site.host().names("model")


def test_a_distribution_that_offers_a_name_twice_is_at_fault(site: Site) -> None:
    (site.folder / "again.py").write_text(dedent(GOOD))
    site.add("first-plugin", GOOD, entry_points={"one": "first_plugin", "two": "again"})
    one, two = (r for r in site.host().plugins if r.source.distribution == "first-plugin")
    assert (one.state, two.state) == (State.ACTIVE, State.FAILED)
    assert "loss 'good' of first-plugin 1.2, from its plugin 'one', is there already" in two.cause


def test_one_module_behind_two_entry_points_is_at_fault(site: Site) -> None:
    names = {"one": "first_plugin", "two": "first_plugin"}
    site.add("first-plugin", GOOD, entry_points=names)
    _, two = (r for r in site.host().plugins if r.source.distribution == "first-plugin")
    assert "the same object as the plugin 'first-plugin:one'" in two.cause


def test_one_entry_point_name_twice_in_a_distribution_is_at_fault() -> None:
    host = create_host(discover=False)
    host.register(_plugin({"alpha": object}), distribution="mine", name="one")
    with pytest.raises(gkd.PluginError, match="mine already has a plugin called 'one'"):
        host.register(_plugin({"beta": object}), distribution="mine", name="one")
    assert host.names("loss") == ["alpha"]


def test_one_entry_point_name_in_two_distributions_is_fine(two: Host) -> None:
    states = {r.source.qualified: r.state for r in two.plugins if r.source.name == "plug"}
    assert states == {"first-plugin:plug": State.ACTIVE, "Second_Plugin:plug": State.ACTIVE}


def test_an_unknown_name_tells_the_nearest_and_all() -> None:
    host = create_host(discover=False)
    host.register(_plugin({"alpha": object, "beta": object}))
    with pytest.raises(gkd.UnknownNameError) as caught:
        host.create("loss", "alhpa")
    expected = "no loss is called 'alhpa'; did you mean 'alpha'? Available: alpha, beta"
    assert str(caught.value) == expected


def test_an_unknown_qualified_name_tells_qualified_ones() -> None:
    host = create_host(discover=False)
    host.register(_plugin({"alpha": object}), distribution="mine")
    with pytest.raises(gkd.UnknownNameError, match="did you mean 'mine:alpha'"):
        host.create("loss", "mime:alpha")


@pytest.mark.parametrize("kind", ["los", "losses", ""])
def test_an_unknown_kind_tells_the_kinds(kind: str) -> None:
    host = create_host(discover=False)
    for asking in (host.names, lambda kind: host.create(kind, "x")):
        with pytest.raises(gkd.UnknownNameError, match="dataset, graph, kernel, loss, model"):
            asking(kind)


def test_a_name_is_a_string() -> None:
    with pytest.raises(gkd.ParameterError, match="the name of a loss is a string, got 3"):
        create_host(discover=False).create("loss", 3)  # type: ignore[arg-type]


def test_an_empty_host_says_that_nothing_is_available() -> None:
    with pytest.raises(gkd.UnknownNameError, match="none is available"):
        create_host(discover=False).create("model", "anything")


def _plugin(losses: dict[str, object]) -> object:
    class Plugin:
        @gkd.hookimpl
        def gkd_losses(self) -> dict[str, object]:
            return losses

    return Plugin()
