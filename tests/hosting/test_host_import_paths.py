"""Components that a plugin offers as ``"module:object"`` are imported when they are used."""

import pkgutil
import sys
from importlib import import_module
from textwrap import dedent

import pytest
from fake_distributions import LOSS, Site

import gkd
from gkd.errors import PluginError, UnknownNameError
from gkd.hosting.kinds import KINDS
from gkd.hosting.records import State


def offer(path: str) -> str:
    """Source of a plugin that offers a loss and says where it is."""
    return f"""
        from gkd import hookimpl

        @hookimpl
        def gkd_losses():
            return {{"late": {path!r}}}
    """


@pytest.fixture
def late(site: Site) -> Site:
    """A plugin whose loss is in a module of its own."""
    (site.folder / "late_loss.py").write_text(dedent(LOSS), encoding="utf-8")
    site.add("late-plugin", offer("late_loss:Zero"))
    sys.modules.pop("late_loss", None)
    return site


def test_it_is_imported_when_it_is_used(late: Site) -> None:
    host = late.host()
    assert "late" in host.names("loss")
    assert "late_loss" not in sys.modules
    assert type(host.create("loss", "late")).__module__ == "late_loss"


@pytest.mark.parametrize("path", ["late_loss", "late_loss:", "late loss:Zero", ":Zero", ""])
def test_a_path_of_another_form_is_a_problem_of_the_plugin(site: Site, path: str) -> None:
    site.add("late-plugin", offer(path))
    record = site.record("late-plugin")
    assert record.state is State.FAILED
    assert f"gkd_losses: 'late' is at {path!r}, expected 'module:object'" in record.cause


BROKEN = {
    "late_loss:Zreo": "AttributeError: module 'late_loss' has no attribute 'Zreo'",
    "later_loss:Zero": "ModuleNotFoundError: No module named 'later_loss'",
    "late_loss:__name__": "late_loss:__name__ is not a class or function",
    "broken_loss:Zero": "SystemExit: 3",
}


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest, late: Site) -> tuple[Site, str]:
    """A second plugin whose loss cannot be imported, and why."""
    (late.folder / "broken_loss.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    late.add("broken-plugin", offer(request.param).replace('"late"', '"broken"'))
    return late, BROKEN[request.param]


def test_what_cannot_be_imported_is_an_error_where_it_is_used(broken: tuple[Site, str]) -> None:
    site, cause = broken
    host = site.host()
    assert {"broken", "late"} <= set(host.names("loss"))
    with pytest.raises(PluginError) as caught:
        host.create("loss", "broken")
    assert str(caught.value).startswith("loss 'broken' of broken-plugin 1.2 cannot be used: ")
    assert cause in str(caught.value)
    host.create("loss", "late")


def test_what_cannot_be_imported_is_no_matter_where_nothing_has_the_name_asked_for(
    broken: tuple[Site, str],
) -> None:
    with pytest.raises(UnknownNameError, match="no loss is called 'something-else'"):
        broken[0].host().create("loss", "something-else")


def test_the_line_that_breaks_is_named(late: Site) -> None:
    file = late.folder / "broken_loss.py"
    file.write_text("x = 1\nraise ValueError('no way')\n", encoding="utf-8")
    late.add("broken-plugin", offer("broken_loss:Zero").replace('"late"', '"broken"'))
    with pytest.raises(PluginError) as caught:
        late.host().create("loss", "broken")
    assert str(caught.value).endswith(f"broken_loss:Zero raised ValueError: no way [{file}:2]")


def test_whoever_wants_no_broken_plugin_is_told_at_once(broken: tuple[Site, str]) -> None:
    site, cause = broken
    with pytest.raises(PluginError, match="loss 'broken' of broken-plugin") as caught:
        site.host(strict=True)
    assert cause in str(caught.value)


def test_the_classes_that_shipped_plugins_offer_are_attributes_of_their_packages() -> None:
    offers = [
        component.offer
        for kind in KINDS
        for component in gkd.create_host().components(kind).values()
        if component.source.distribution == "gkd"
    ]
    assert len(offers) > 20
    for offer in offers:
        package, path = offer.partition(".")[0], offer.partition(":")[2]
        assert getattr(import_module(package), path) is pkgutil.resolve_name(offer)


def test_a_package_has_no_other_attributes() -> None:
    plugin = import_module("gkd_lsp")
    assert not hasattr(plugin, "Lps")
    with pytest.raises(ImportError, match="cannot import name 'Lps' from 'gkd_lsp'"):
        exec("from gkd_lsp import Lps")
    exec("from gkd_lsp import kernels, LSP")
