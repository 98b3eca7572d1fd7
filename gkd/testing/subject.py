"""Components under test: how to make one, what it declares, and which ones a name stands for.

Losses and kernels declare what they are like by the attributes of :class:`gkd.AbstractLoss` and
:class:`gkd.AbstractKernel`. Graph builders and models have no base class; these and weighers may
set the following attributes, on the class or in ``__init__``:

===================== ======= ===========================================================
graph builder         default
===================== ======= ===========================================================
translation_invariant True    adding a constant to all points changes no edge
bounded_memory        True    no tensor with an entry for every pair of nodes
linear_work           True    work in proportion to the points, not to pairs of them
===================== ======= ===========================================================

===================== ======= ===========================================================
model                 default
===================== ======= ===========================================================
inputs                None    attributes of the batch that ``forward`` takes, in order;
                              None reads the names of its parameters
bounded_memory        True    no tensor with a row of features for every edge, or with an
                              entry for every pair of nodes
linear_work           True    work in proportion to nodes and edges
directed              True    an edge changes only what lies downstream of its target
===================== ======= ===========================================================

===================== ======= ===========================================================
weigher               default
===================== ======= ===========================================================
bounded_memory        True    as for a model
linear_work           True    as for a model
===================== ======= ===========================================================

Any factory may list ``example_parameters``, see
:mod:`gkd.hosting.example_parameters`.
"""

import random
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis.strategies import SearchStrategy

from gkd.errors import ParameterError, PluginError, UnknownNameError, suggestion
from gkd.hosting.example_parameters import example_parameters
from gkd.hosting.host import Host, current_host
from gkd.hosting.kinds import KINDS, kind_named, product_mistake
from gkd.hosting.parameters import bind_parameters
from gkd.hosting.records import Component
from gkd.testing.search import once_drawn

EXAMPLES = 25
# What a recipe takes from the dataset, unless it says otherwise.
_SUPPLIED: Mapping[str, Mapping[str, Any]] = {"model": {"in_channels": 3, "out_channels": 4}}
# What is taken for granted of components whose class need not say it.
GRANTED: Mapping[str, Mapping[str, Any]] = {
    "graph": {"translation_invariant": True, "bounded_memory": True, "linear_work": True},
    "model": {
        "inputs": None,
        "logits": "",
        "bounded_memory": True,
        "linear_work": True,
        "directed": True,
    },
    "weigher": {"bounded_memory": True, "linear_work": True},
}


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Args:
        kind: loss, kernel, graph, model, dataset, task or weigher.
        name: for reports; with the parameters that differ from the defaults.
        factory: the class or function.
        make: calls it, with parameters by keyword.
        params: what ``make`` is called with.
        examples: how many problems a law tries.
        anew: whether problems are drawn anew, so that smaller ones can be looked for.
        known: what was found out of it once and is asked for again, by what it is.
    """

    kind: str
    name: str
    factory: Callable[..., Any]
    make: Callable[..., Any]
    params: Mapping[str, Any]
    examples: int = EXAMPLES
    anew: bool = False
    known: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def specimen(self) -> Any:
        """One component, to read from: what it declares, or what a dataset holds."""
        return self.create()

    @property
    def module(self) -> str:
        """Module that the component comes from."""
        return str(getattr(self.factory, "__module__", ""))

    @property
    def label(self) -> str:
        """``kind:name``."""
        return f"{self.kind}:{self.name}"

    def problems(
        self, strategy: Callable[..., SearchStrategy[Any]], *arguments: Any, **options: Any
    ) -> SearchStrategy[Any]:
        """Return ``strategy(*arguments, **options)``, or a choice among what was drawn from it.

        Args:
            strategy: one function for many subjects.
            *arguments: of it; hashable.
            **options: of it; hashable.
        """
        if self.anew:
            return strategy(*arguments, **options)
        return once_drawn(strategy, self.examples, *arguments, **options)

    @property
    def afresh(self) -> "Subject":
        """The same component, whose problems are drawn anew."""
        return replace(self, anew=True)

    def create(self, seed: int = 0) -> Any:
        """Return a new component; everything random in it comes from ``seed``."""
        with fixed_seed(seed):
            return self.make(**self.params)


@contextmanager
def fixed_seed(seed: int) -> Iterator[None]:
    """Draw everything random from ``seed`` inside, and go on outside as if nothing had been."""
    # torch.manual_seed formats a stack trace where CUDA was not used yet: a hundred times slower.
    generator = torch.default_generator
    states = generator.get_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    generator.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  what components may draw from must be controlled
    random.seed(seed)
    try:
        yield
    finally:
        generator.set_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


def declaration(subject: Subject, attribute: str) -> Any:
    """Return what a component declares as ``attribute``, or what is taken for granted.

    >>> declaration(subject("graph", lambda: lambda features, batch: None), "translation_invariant")
    True
    """
    if hasattr(subject.specimen, attribute):
        return getattr(subject.specimen, attribute)
    return GRANTED[subject.kind][attribute]


def subject(
    kind: str,
    component: str | Callable[..., Any],
    params: Mapping[str, Any] | None = None,
    examples: int = EXAMPLES,
) -> Subject:
    """Return a component as a subject.

    Args:
        kind: loss, kernel, graph, model, dataset, task or weigher.
        component: a class, a function that makes it, or the name of an installed one.
        params: what it is made with; None takes the first of its ``example_parameters``, where it
            declares any.
        examples: how many problems a law tries.

    Raises:
        UnknownNameError: there is no such kind, or no component of that name.
        ParameterError: ``component`` is not a factory, or the parameters do not fit it.
    """
    product = kind_named(kind).product
    if isinstance(component, str):
        host = current_host()
        found = host.component(kind, component)

        def make(**params: Any) -> Any:
            return host.make(found, f"{kind} {component!r}", params)

        name, factory = component, found.factory
    else:
        if not callable(component) or (kind != "graph" and isinstance(component, product)):
            raise ParameterError(
                f"a {kind} is checked by its class, a function that makes it, or its name, so that "
                f"the kit can make several; got {component!r}"
            )
        name, factory = _default_name(component), component

        def make(**params: Any) -> Any:
            made = factory(**bind_parameters(factory, params, f"{kind} {name!r}"))
            if mistake := product_mistake(kind, made):
                raise PluginError(f"{kind} {name!r} {mistake}")
            return made

    if params is None:
        params = next(iter(example_parameters(factory)))
    listed = ", ".join(f"{key}={_short(value)}" for key, value in params.items())
    supplied = {**_SUPPLIED.get(kind, {}), **params}
    return Subject(kind, f"{name}({listed})" if listed else name, factory, make, supplied, examples)


def kind_of(component: Any) -> str:
    """Return the kind of a class, where its base tells it.

    Raises:
        ParameterError: it does not: an ``nn.Module`` may be a model or a graph builder.
    """
    telling = ("loss", "kernel", "dataset", "task", "weigher")
    if isinstance(component, type):
        for kind in telling:
            if issubclass(component, KINDS[kind].product):
                return kind
    raise ParameterError(
        f"the kind of {getattr(component, '__name__', component)!r} does not show: give it as "
        f"(kind, component) with one of {', '.join(KINDS)}"
    )


def selected(text: str, examples: int = EXAMPLES) -> list[Subject]:
    """Return the installed components that ``text`` names.

    Args:
        text: a component (``"loss:lsp"``, ``"loss:distribution:lsp"``), or all of a plugin, by its
            entry point, its distribution or both (``"my-plugin:entry"``); what is no plugin may be
            a component of any kind (``"kd"``, ``"distribution:kd"``). ``"kind:name"`` may be
            followed by parameters as in TOML: ``"graph:radius {radius = 0.5}"``; without them it
            is there once for each of its ``example_parameters``.
        examples: how many problems most laws try.

    Raises:
        UnknownNameError: nothing that is installed is called so.
        ParameterError: the parameters are not TOML, or follow a plugin's name.

    >>> [subject.label for subject in selected("kernel:rbf {sigma = 2.0}")]
    ['kernel:rbf(sigma=2.0)']
    """
    name, params = name_and_parameters(text)
    kind, colon, rest = name.partition(":")
    host = current_host()
    if colon and kind in KINDS:
        chosen = [(rest, host.component(kind, rest))]
    else:
        chosen = _components_of_plugin(host, name)
        if params is not None:
            raise ParameterError("parameters go with one component, as in 'kernel:rbf {sigma = 1}'")
    return [
        subject(component.kind, short, choice, examples)
        for short, component in chosen
        for choice in (example_parameters(component.factory) if params is None else (params,))
    ]


def name_and_parameters(text: str) -> tuple[str, Mapping[str, Any] | None]:
    """Return a name and the parameters that follow it as in TOML, None where there are none.

    Raises:
        ParameterError: they are not TOML.

    >>> name_and_parameters("kernel:rbf {sigma = 2.0}")
    ('kernel:rbf', {'sigma': 2.0})
    """
    name, brace, table = text.partition("{")
    if not brace:
        return name.strip(), None
    try:
        return name.strip(), tomllib.loads(f"params = {{{table}")["params"]
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"the parameters in {text!r} are not TOML: {error}") from None


def _components_of_plugin(host: Host, name: str) -> list[tuple[str, Component]]:
    """Components of the plugins that ``name`` is an entry point or the distribution of."""
    everything = [item for kind in KINDS for item in host.components(kind).items()]
    found = [item for item in everything if item[1].source.is_called(name)]
    found = found or [item for item in everything if item[1].is_called(name)]
    if found:
        return found
    records = [record for record in host.plugins if record.source.is_called(name)]
    if records:
        listed = "; ".join(str(record) for record in records)
        raise UnknownNameError(f"{name!r} provides no component: {listed}")
    known = {called for record in host.plugins for called in record.source.names}
    known |= {f"{kind}:{short}" for kind in KINDS for short in host.names(kind)}
    raise UnknownNameError(
        f"no plugin or component that is installed is called {name!r}; {suggestion(name, known)}"
    )


def _short(value: Any) -> str:
    # A label is a line of a table and the id of a test: a list of tables would fill the screen.
    if isinstance(value, Path):
        return value.name
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _default_name(factory: Callable[..., Any]) -> str:
    """Return the name of a class or function in kebab case: ``MeanOverEdges``, mean-over-edges."""
    while hasattr(factory, "func"):  # functools.partial
        factory = factory.func
    name = getattr(factory, "__name__", type(factory).__name__)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_", "-", name)
    return words.lower().strip("-")
