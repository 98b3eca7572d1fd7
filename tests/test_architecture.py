"""The shape of the project: import directions, lightness, documented hooks, small files."""

import ast
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gkd
from gkd.hosting import hookspecs
from gkd.hosting.host import create_host
from gkd.hosting.kinds import HOOKS, KINDS

ROOT = Path(__file__).parents[1]
CORE = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "gkd").rglob("*.py"))
}
PLUGINS = {
    ".".join(path.relative_to(ROOT / "plugins").with_suffix("").parts).removesuffix(
        ".__init__"
    ): path
    for path in sorted((ROOT / "plugins").rglob("*.py"))
}
BENCHMARKS = {
    f"{path.parent.name}.{path.stem}".removesuffix(".__init__"): path
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
}
SOURCES = CORE | PLUGINS | BENCHMARKS

# Every module belongs to one layer, and imports from its own and from those above it here.
LAYERS = (
    r"gkd\.(errors(\..*)?|files|eager)",
    r"gkd\.graph(\..*)?",
    r"gkd\.functional(\..*)?",
    r"gkd\.(loss|kernel|data(\..*)?)",
    r"gkd\.hosting(\..*)?",
    r"gkd\.cache(\..*)?",
    r"gkd\.distillation(\..*)?",
    r"gkd",
    r"gkd\.(recipe|training|evaluation|report|testing|scaffold|benchmarking)(\..*)?",
    r"gkd\.deployment(\..*)?",
    r"gkd\.sweep(\..*)?",
    r"gkd\.commands(\..*)?",
    r"gkd\.(cli|__main__)",
)
HEAVY = (
    "lightning",
    "optuna",
    "torchmetrics",
    "matplotlib",
    "h5py",
    "rich",
    "typer",
    "pytorch_lightning",
)


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text(encoding="utf-8"))


def _layer(module: str) -> int:
    (position,) = [i for i, layer in enumerate(LAYERS) if re.fullmatch(layer, module)]
    return position


def _for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _imports(module: str, *, for_types: bool = False) -> Iterator[tuple[str, str]]:
    """Pairs of imported module and name, ``""`` for a whole module; on request for types, too."""
    pending: list[ast.AST] = [_tree(module)]
    while pending:
        node = pending.pop()
        if _for_type_checkers(node) and not for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from ((node.module or "", alias.name) for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def _core_imports(module: str, *, for_types: bool = False) -> set[str]:
    """Core modules that ``module`` imports; ``from gkd import cli`` is ``gkd.cli``."""
    found = set()
    for source, name in _imports(module, for_types=for_types):
        whole = f"{source}.{name}" if f"{source}.{name}" in CORE else source
        if whole in CORE:
            found.add(whole)
    return found


def test_there_is_something_to_check() -> None:
    assert {
        "gkd",
        "gkd.cli",
        "gkd.hosting.host",
        "gkd.functional.segments",
        "gkd.distillation.distiller",
    } <= set(CORE)
    assert len({module.partition(".")[0] for module in PLUGINS}) >= 4
    assert _core_imports("gkd.hosting.host") >= {
        "gkd.errors",
        "gkd.hosting.records",
    }


def test_imports_run_one_way() -> None:
    def upwards(for_types: bool) -> set[tuple[str, str]]:
        return {
            (module, other)
            for module in CORE
            for other in _core_imports(module, for_types=for_types)
            if _layer(other) > _layer(module)
        }

    assert not upwards(for_types=False)
    assert upwards(for_types=True) == {
        ("gkd", "gkd.deployment.student"),  # the face of the package names what users call
        ("gkd.hosting.hookspecs", "gkd.distillation.step_report"),  # what observers are told
    }


def test_modules_do_not_import_one_another_in_circles() -> None:
    # With imports inside functions, and with those that are there for type checkers alone: a circle
    # that Python never meets is still one for whoever reads the two files.
    imports = {module: _core_imports(module, for_types=True) - {module} for module in CORE}
    assert list(TopologicalSorter(imports).static_order())
    of_plugins = {
        module: {source for source, _ in _imports(module, for_types=True)}
        & PLUGINS.keys() - {module}
        for module in PLUGINS
    }
    assert list(TopologicalSorter(of_plugins).static_order())


def test_few_files_stand_loose_and_each_has_a_name_of_its_own() -> None:
    loose = [path.name for path in CORE.values() if path.parent == ROOT / "gkd"]
    assert len(loose) <= 8
    names = Counter(path.name for path in SOURCES.values() if path.stem != "__init__")
    assert not [name for name, count in names.items() if count > 1]


def test_the_core_imports_no_plugin() -> None:
    plugins = [
        (module, source)
        for module in CORE
        for source, _ in _imports(module)
        if source.startswith("gkd_")
    ]
    assert not plugins


def test_plugins_use_public_names_alone() -> None:
    private = [
        (module, source, name)
        for module in PLUGINS
        for source, name in _imports(module)
        if not _may_import(module.partition(".")[0], source, name)
    ]
    assert not private


def _may_import(package: str, source: str, name: str) -> bool:
    """Whether a module of that plugin package may import ``name`` from ``source``."""
    root = source.partition(".")[0]
    if source == "gkd":
        return not name or name in {*gkd.__all__, "functional"}
    if root == "gkd":
        public = {"gkd.errors", "gkd.eager", "gkd.data.archive", "gkd.data.downloads"}
        if (source, name) == ("gkd.hosting.host", "import_own"):
            return True
        return source in public or source.startswith("gkd.functional")
    return not root.startswith("gkd_") or root == package


def _shipped_names() -> set[str]:
    host = create_host()
    return {
        component.name
        for kind in KINDS
        for component in host.components(kind).values()
        if component.source.distribution == "gkd"
    }


def _asked_for(module: str) -> Iterator[str]:
    """String literals that are passed to a call that looks a component up."""
    lookups = {"create", "component", "signature", "Term"}
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            literals = [v.value for v in values if isinstance(v, ast.Constant)]
            yield from (v for v in literals if name in lookups and isinstance(v, str))


def _compared(module: str) -> Iterator[str]:
    """String literals that something is compared with, or that are keys of a table."""
    for node in ast.walk(_tree(module)):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            parts = list(node.keys)
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value


def test_the_core_spells_no_name_of_a_shipped_component() -> None:
    # Some words mean something else as well: how a weight or a learning rate runs over epochs.
    other_meanings = {"linear", "cosine"}
    shipped = _shipped_names()
    spelt = [
        (module, name)
        for module in CORE
        for name in [
            *(shipped & set(_asked_for(module))),
            *((shipped - other_meanings) & set(_compared(module))),
        ]
    ]
    assert not spelt


def test_shipped_names_are_known() -> None:
    assert {"lsp", "kd", "gat", "rbf"} <= _shipped_names()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_tested(hook: str) -> None:
    assert inspect.getdoc(getattr(hookspecs, hook))
    assert hook in (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    own = Path(__file__)
    tests = [path for path in own.parent.rglob("test_*.py") if path != own]
    assert any(hook in path.read_text(encoding="utf-8") for path in tests)


def test_the_hooks_are_those_specified() -> None:
    marked = {name for name, _ in inspect.getmembers(hookspecs, lambda o: hasattr(o, "gkd_spec"))}
    assert marked == set(HOOKS)


def test_public_names_exist_and_are_listed_once() -> None:
    assert len(gkd.__all__) == len(set(gkd.__all__))
    for name in gkd.__all__:
        assert getattr(gkd, name) is not None
    assert set(gkd.__all__) <= set(dir(gkd))


def test_public_names_are_imported_from_where_type_checkers_find_them() -> None:
    for_types, at_run_time = next(
        (node.body, node.orelse) for node in ast.walk(_tree("gkd")) if _for_type_checkers(node)
    )
    typed, submodules = {}, {}
    for node in for_types:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            place = f"{node.module}.{alias.name}"
            if place in CORE:
                submodules[alias.name] = place
            else:
                typed[alias.name] = node.module
    names, short_paths = [
        ast.literal_eval(node.value) for node in at_run_time if isinstance(node, ast.Assign)
    ]
    assert (typed, submodules) == (names, short_paths)
    assert set(typed) <= set(gkd.__all__)


def test_modules_can_be_reached_through_the_package_and_misspelt_names_cannot() -> None:
    program = (
        "import gkd; gkd.functional; gkd.testing; gkd.Graph; gkd.teacher_cache.TeacherCache; "
        "gkd.taps.taps; gkd.schedule.schedule_from; gkd.Grahp"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr.splitlines()[-1].startswith("AttributeError: module 'gkd' has no attribute")
    assert "'Grahp'" in done.stderr.splitlines()[-1]


def test_importing_gkd_loads_nothing_heavy_and_warns_of_nothing() -> None:
    program = "import sys, gkd; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", *HEAVY, *(module.partition(".")[0] for module in PLUGINS)}


def test_every_module_says_what_it_is() -> None:
    assert not [module for module in SOURCES if not ast.get_docstring(_tree(module))]


def test_modules_and_functions_stay_small() -> None:
    assert not [
        module
        for module, path in SOURCES.items()
        if len(path.read_text(encoding="utf-8").splitlines()) > 500
    ]
    assert not [
        (module, node.name)
        for module in SOURCES
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.FunctionDef) and _lines_of_code(node) > 60
    ]


def _lines_of_code(function: ast.FunctionDef) -> int:
    begins = function.body[0].end_lineno if ast.get_docstring(function) else function.lineno
    return (function.end_lineno or 0) - (begins or 0)


def test_the_places_that_the_guide_for_contributors_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:gkd|plugins|tests|docs|benchmarks|examples|results)/[\w./-]*)`", text)
    assert len(named) > 30
    assert not [place for place in named if not (ROOT / place).exists()]
