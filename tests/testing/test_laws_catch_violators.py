"""Every law catches a component that breaks it, and lets one pass that does not."""

import asking_losses
import broken_datasets
import broken_graphs
import broken_kernels
import broken_losses
import broken_models
import broken_tasks
import broken_weighers
import pytest

from gkd import testing
from gkd.testing.law import Law

EXAMPLES = 25
MODULES = {
    "loss": broken_losses,
    "kernel": broken_kernels,
    "graph": broken_graphs,
    "model": broken_models,
    "dataset": broken_datasets,
    "task": broken_tasks,
    "weigher": broken_weighers,
}
LAWS = {(kind, law.name): law for kind in MODULES for law in testing.laws(kind)}
VIOLATORS = [
    pytest.param(LAWS[kind, name], component, id=f"{kind}-{name}-{component.__name__}")
    for kind, module in MODULES.items()
    for name, components in module.BROKEN.items()
    for component in components
]


@pytest.mark.parametrize("kind", MODULES)
def test_every_law_has_a_violator(kind):
    assert set(MODULES[kind].BROKEN) == {law.name for law in testing.laws(kind)}


@pytest.mark.parametrize(("law", "component"), VIOLATORS)
def test_a_law_catches_who_breaks_it(law: Law, component):
    subject = testing.subject(law.kind, component, examples=EXAMPLES)
    assert not law.exemption(subject)
    with pytest.raises(testing.LawViolation) as caught:
        law.check(subject, smallest=False)
    assert caught.value.message
    assert bool(caught.value.example) == (law.problems is not None)


@testing.parametrize_with_checks(
    [
        *((kind, module.GOOD) for kind, module in MODULES.items()),
        ("model", broken_models.DeclaredNames),
        broken_datasets.Augments,
        broken_datasets.SplitPerSeed,
        *asking_losses.GOOD,
    ],
    examples=8,
)
def test_a_good_component_keeps_every_law(check):
    check()
