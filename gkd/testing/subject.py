"""Components under test: how to make one, and what it is called."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gkd.errors import ParameterError, PluginError
from gkd.hosting.catalog import current_host
from gkd.hosting.kinds import KINDS, kind_named
from gkd.hosting.parameters import bind_parameters
from gkd.testing.random_states import seeded

EXAMPLES = 25
# What a recipe takes from the dataset, unless it says otherwise.
_SUPPLIED: Mapping[str, Mapping[str, Any]] = {"model": {"in_channels": 3, "out_channels": 4}}


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Args:
        kind: loss, kernel, graph, model or dataset.
        name: for reports; with the parameters that differ from the defaults.
        factory: the class or function.
        make: calls it, with parameters by keyword.
        params: what ``make`` is called with.
        examples: how many problems a law tries.
    """

    kind: str
    name: str
    factory: Callable[..., Any]
    make: Callable[..., Any]
    params: Mapping[str, Any]
    examples: int = EXAMPLES

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

    def create(self, seed: int = 0) -> Any:
        """Return a new component; everything random in it comes from ``seed``."""
        with seeded(seed):
            return self.make(**self.params)


def subject(
    kind: str,
    component: str | Callable[..., Any],
    params: Mapping[str, Any] | None = None,
    examples: int = EXAMPLES,
) -> Subject:
    """Return a component as a subject.

    Args:
        kind: loss, kernel, graph, model or dataset.
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
            return host.create(kind, component, **params)

        name, factory = component, found.factory
    else:
        if not callable(component) or (kind != "graph" and isinstance(component, product)):
            raise ParameterError(
                f"a {kind} is checked by its class, a function that makes it, or its name, so that "
                f"the kit can make several; got {component!r}"
            )
        name, factory = _kebab(component), component

        def make(**params: Any) -> Any:
            made = factory(**bind_parameters(factory, params, f"{kind} {name!r}"))
            if not isinstance(made, product):
                raise PluginError(
                    f"{kind} {name!r} must be {product.__name__}, but its factory made "
                    f"{type(made).__name__}"
                )
            return made

    if params is None:
        params = next(iter(example_parameters(factory)))
    supplied = {**_SUPPLIED.get(kind, {}), **params}
    return Subject(kind, _named(name, params), factory, make, supplied, examples)


def example_parameters(factory: Callable[..., Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the parameters that a factory declares for being checked; none by default.

    A component that needs parameters, or has ways to work that differ much, lists them in the
    attribute ``example_parameters`` of its class (or function): it is checked with each.
    """
    return tuple(getattr(factory, "example_parameters", ({},)))


def kind_of(component: Any) -> str:
    """Return the kind of a class, where its base tells it.

    Raises:
        ParameterError: it does not: an ``nn.Module`` may be a model or a graph builder.
    """
    telling = ("loss", "kernel", "dataset")
    if isinstance(component, type):
        for kind in telling:
            if issubclass(component, KINDS[kind].product):
                return kind
    raise ParameterError(
        f"the kind of {getattr(component, '__name__', component)!r} does not show: give it as "
        f"(kind, component) with one of {', '.join(KINDS)}"
    )


def _named(name: str, params: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{key}={_short(value)}" for key, value in params.items())
    return f"{name}({listed})" if listed else name


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _kebab(factory: Callable[..., Any]) -> str:
    while hasattr(factory, "func"):  # functools.partial
        factory = factory.func
    name = getattr(factory, "__name__", type(factory).__name__)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_", "-", name)
    return words.lower().strip("-")
