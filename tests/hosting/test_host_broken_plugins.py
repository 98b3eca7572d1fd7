"""Whatever is wrong with one plugin is said, with place and cause, and everything else works."""

from dataclasses import dataclass
from textwrap import dedent

import pytest
from fake_distributions import GOOD, LOSS, Site

import gkd
from gkd.hosting.records import State


@dataclass(frozen=True)
class Broken:
    """A plugin's source, the cause to be reported, and the text of the line at fault."""

    source: str
    cause: str
    line: str = ""


HOOK = "from gkd import hookimpl\n"

BROKEN = {
    "import raises": Broken("x = 1\nraise RuntimeError('no\\nway')", "RuntimeError: no", "raise"),
    "import exits": Broken("import sys\nsys.exit('bye')", "SystemExit: bye", "sys.exit('bye')"),
    "import is interrupted by a native panic": Broken(
        "class Panic(BaseException): ...\nraise Panic('core dumped')", "Panic: core dumped", "raise"
    ),
    "syntax error": Broken("x = 1\ndef (:", "SyntaxError: invalid syntax", "def (:"),
    "missing dependency": Broken(
        "import os\nimport no_such_library", "it needs the module 'no_such_library'", "import no_"
    ),
    "missing part of a dependency": Broken(
        "from json import no_such_function", "ImportError: cannot import name", "from json"
    ),
    "wrong call of a library": Broken(
        "import json\njson.loads('{')", "JSONDecodeError: Expecting", "json.loads"
    ),
    "components wanted too early": Broken(
        "import gkd\nnames = gkd.names('loss')", "plugins are still being loaded", "names ="
    ),
    "misspelt hook": Broken(
        HOOK + "@hookimpl\ndef gkd_loses(): return {}",
        "there is no hook 'gkd_loses'; did you mean 'gkd_losses'?",
        "@hookimpl",
    ),
    "hook with an argument": Broken(
        HOOK + "@hookimpl\ndef gkd_losses(config): return {}",
        "gkd_losses is called as gkd_losses(), but declares (config)",
        "@hookimpl",
    ),
    "observer with a wrong argument": Broken(
        HOOK + "@hookimpl\ndef gkd_step(event, trainer): ...",
        "gkd_step is called as gkd_step(event), but declares (event, trainer)",
        "@hookimpl",
    ),
    "hook wrapper": Broken(
        HOOK + "@hookimpl(wrapper=True)\ndef gkd_losses():\n    return (yield)",
        "gkd_losses is a hook wrapper",
        "@hookimpl",
    ),
    "hook raises": Broken(
        HOOK + "def table():\n    return 1 / 0\n@hookimpl\ndef gkd_losses():\n    return table()",
        "gkd_losses raised ZeroDivisionError",
        "    return 1 / 0",
    ),
    "hook exits": Broken(
        HOOK + "@hookimpl\ndef gkd_losses():\n    raise SystemExit(3)",
        "gkd_losses raised SystemExit: 3",
        "    raise SystemExit(3)",
    ),
    "hook returns None": Broken(
        HOOK + "@hookimpl\ndef gkd_losses(): ...", "it returned NoneType", "@hookimpl"
    ),
    "hook returns a list": Broken(
        HOOK + "@hookimpl\ndef gkd_kernels(): return [int]",
        "gkd_kernels must return a mapping from names to factories, it returned list",
        "@hookimpl",
    ),
    "hook is a generator": Broken(
        HOOK + "@hookimpl\ndef gkd_models(): yield 'a', int", "it returned generator", "@hookimpl"
    ),
    "name is no string": Broken(
        HOOK + "@hookimpl\ndef gkd_datasets(): return {1: int}",
        "gkd_datasets must return names as strings, one is int",
        "@hookimpl",
    ),
    "name could not be asked for": Broken(
        HOOK + "@hookimpl\ndef gkd_losses(): return {'a:b': int}",
        "'a:b' is not a valid name",
        "@hookimpl",
    ),
    "factory is no callable": Broken(
        HOOK + "@hookimpl\ndef gkd_graph_builders(): return {'knn': 20}",
        "gkd_graph_builders: 'knn' must be a class or function, it is int",
        "@hookimpl",
    ),
    "factory is a component": Broken(
        HOOK
        + "from gkd import AbstractLoss\n"
        + "class Mine(AbstractLoss):\n    def forward(self, student, teacher): ...\n"
        + "@hookimpl\ndef gkd_losses(): return {'mine': Mine()}",
        "gkd_losses: 'mine' is made already; offer its class, Mine, or a function",
        "@hookimpl",
    ),
    "mark forgotten": Broken(
        "def gkd_losses(): return {}", "gkd_losses is not marked with @gkd.hookimpl", "def gkd_"
    ),
    "no hook at all": Broken("x = 1", "it implements no hook of gkd; expected any of gkd_datasets"),
}


@pytest.fixture(params=BROKEN.values(), ids=BROKEN.keys())
def broken(request: pytest.FixtureRequest) -> Broken:
    """One way for a plugin to be broken."""
    return request.param


def test_it_is_reported_with_distribution_version_place_and_cause(
    site: Site, broken: Broken
) -> None:
    file = site.add("bad-plugin", broken.source, version="3.4")
    record = site.record("bad-plugin")
    (problem,) = record.problems
    assert record.state is State.FAILED
    assert broken.cause in problem.cause
    assert "\n" not in problem.cause
    assert (record.source.version, problem.place.file) == ("3.4", str(file))
    if broken.line:
        line = dedent(broken.source).splitlines()[problem.place.line - 1]
        assert line.startswith(broken.line)


def test_everything_else_works(site: Site, broken: Broken) -> None:
    site.add("bad-plugin", broken.source)
    site.add("good-plugin", GOOD)
    host = site.host()
    assert isinstance(host.create("loss", "good"), gkd.AbstractLoss)
    assert "good" in host.names("loss")


def test_a_name_that_nobody_provides_tells_of_it(site: Site, broken: Broken) -> None:
    site.add("bad-plugin", broken.source, version="3.4")
    with pytest.raises(gkd.UnknownNameError) as caught:
        site.host().create("loss", "wanted")
    assert "no loss is called 'wanted'" in str(caught.value)
    assert "bad-plugin 3.4 (plugin 'plug')" in str(caught.value)
    assert broken.cause in str(caught.value)


def test_a_strict_host_raises(site: Site, broken: Broken) -> None:
    site.add("bad-plugin", broken.source)
    with pytest.raises(gkd.PluginError) as caught:
        site.host(strict=True)
    assert "bad-plugin 1.2" in str(caught.value)
    assert broken.cause in str(caught.value)


def test_a_class_with_hooks_is_told_from_an_object(site: Site) -> None:
    source = f"{HOOK}class Plugin:\n    @hookimpl\n    def gkd_losses(self): return {{}}"
    site.add("classy", source, entry_points={"plug": "classy:Plugin"})
    assert "write plugin = Plugin() and name that in the entry point" in site.record("classy").cause


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("no_such_module", "names the module 'no_such_module', which does not exist"),
        ("not a module", "'not a module' is not of the form 'module' or 'module:attribute'"),
        ("solid:missing", "names 'solid:missing', but the module has no such attribute"),
        ("solid.part", "names the module 'solid.part', which does not exist"),
        ("solid:VALUE", "it implements no hook of gkd"),
        ("solid:NOTHING", "it implements no hook of gkd"),
    ],
)
def test_an_entry_point_may_name_nonsense(site: Site, value: str, cause: str) -> None:
    file = site.add("solid", "VALUE = 3\nNOTHING = None", entry_points={"plug": value})
    (problem,) = site.record("solid").problems
    assert cause in problem.cause
    found = value.startswith("solid")
    assert problem.place.file == str(file if found else site.folder)


def test_a_package_without_its_own_part_is_told_from_a_missing_dependency(site: Site) -> None:
    (site.folder / "torso").mkdir()
    (site.folder / "torso" / "__init__.py").write_text("from torso import arm\nimport torso.leg\n")
    (site.folder / "torso" / "arm.py").write_text("")
    site.declare("torso", {"plug": "torso"})
    assert "imports its own module 'torso.leg', which does not exist" in site.record("torso").cause


def test_a_plugin_may_provide_nothing(site: Site) -> None:
    site.add("empty-plugin", HOOK + "@hookimpl\ndef gkd_losses(): return {}")
    assert site.record("empty-plugin").state is State.EMPTY


def test_who_would_have_provided_a_name_is_known_when_another_hook_fails(site: Site) -> None:
    source = dedent(GOOD) + "@hookimpl\ndef gkd_kernels():\n    return 3\n"
    site.add("half-plugin", source)
    site.add("bad-plugin", "raise ValueError")
    with pytest.raises(gkd.UnknownNameError) as caught:
        site.host().create("loss", "good")
    message = str(caught.value)
    assert (
        "It would come from:\n  half-plugin 1.2 (plugin 'plug'): gkd_kernels must return" in message
    )
    assert "bad-plugin" not in message


def test_all_problems_of_a_plugin_are_named_at_once(site: Site) -> None:
    source = dedent(LOSS) + dedent("""
        @hookimpl
        def gkd_losses():
            return {"a": 1, 2: Zero}

        @hookimpl
        def gkd_kernel():
            return {}
    """)
    site.add("bad-plugin", source)
    cause = site.record("bad-plugin").cause
    for part in ("'a' must be a class", "one is int", "did you mean 'gkd_kernels'?"):
        assert part in cause


def test_one_hook_may_be_implemented_twice(site: Site) -> None:
    source = dedent(GOOD) + dedent("""
        @hookimpl(specname="gkd_losses")
        def further_losses():
            return {"better": Zero}
    """)
    site.add("good-plugin", source)
    assert site.record("good-plugin").provides == {"loss": ("better", "good")}


def test_a_plugin_that_offers_one_name_in_two_hooks_is_at_fault(site: Site) -> None:
    source = dedent(GOOD) + dedent("""
        @hookimpl(specname="gkd_losses")
        def further_losses():
            return {"good": Zero}
    """)
    site.add("bad-plugin", source)
    assert "gkd_losses: 'good' is offered twice" in site.record("bad-plugin").cause


def test_a_plugin_that_cannot_be_looked_at_is_at_fault() -> None:
    class Secretive:
        def __dir__(self) -> list[str]:
            raise LookupError("hidden")

    with pytest.raises(gkd.PluginError, match="looking for its hooks raised LookupError: hidden"):
        gkd.create_host(discover=False).register(Secretive())


def test_a_plugin_that_cannot_be_compared_is_at_fault_and_nobody_else() -> None:
    class Incomparable:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise LookupError("no comparison")

        @gkd.hookimpl
        def gkd_losses(self) -> dict[str, object]:
            return {"odd": object}

    class Good:
        @gkd.hookimpl
        def gkd_losses(self) -> dict[str, object]:
            return {"good": object}

    host = gkd.create_host(discover=False)
    for name in ("one", "two"):
        # Of all plugins the first one is compared with no other that is there.
        with pytest.raises(gkd.PluginError, match=rf"'{name}'.* raised LookupError: no comparison"):
            host.register(Incomparable(), name=name)
        host.register(Good(), distribution=name, name="good")
    assert host.names("loss") == ["one:good", "two:good"]


def test_a_hook_of_another_version_may_be_marked_optional(site: Site) -> None:
    site.add("good-plugin", dedent(GOOD) + "@hookimpl(optionalhook=True)\ndef gkd_later(): ...\n")
    assert site.record("good-plugin").state is State.ACTIVE


def test_an_exception_that_cannot_be_printed_is_still_reported(site: Site) -> None:
    source = """
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError

        raise Mute
    """
    site.add("bad-plugin", source)
    assert site.record("bad-plugin").cause.startswith("Mute")


def test_what_a_broken_plugin_offers_cannot_be_created(site: Site) -> None:
    site.add("half-plugin", dedent(GOOD) + "@hookimpl\ndef gkd_kernel(): ...\n")
    host = site.host()
    assert "good" not in host.names("loss")
    with pytest.raises(gkd.UnknownNameError):
        host.create("loss", "half-plugin:good")


def test_an_interruption_by_the_user_is_no_fault_of_the_plugin(site: Site) -> None:
    site.add("slow-plugin", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.host()


def test_missing_metadata_does_not_stop_a_plugin(site: Site) -> None:
    site.add("good-plugin", GOOD)
    (site.folder / "good_plugin-1.2.dist-info" / "METADATA").unlink()
    host = site.host()
    assert host.component("loss", "good").source.version == "unknown"
