"""What every component must do, as laws that plugin authors run over theirs.

A law is one named statement with a reason: the loss is a finite scalar, the kernel is symmetric,
a graph builder never joins two samples. The kit looks for the smallest problem that breaks it.

>>> from gkd import testing
>>> report = testing.check("kernel", "rbf", examples=3)
>>> report.passed
True
>>> len(report.results) == len(testing.laws("kernel"))
True

In a test file, each law is a test of its own::

    @gkd.testing.parametrize_with_checks([MyLoss, ("kernel", "mine", {"scale": 2.0})])
    def test_laws(check):
        check()

``pytest --gkd my-plugin`` does the same for all that an installed plugin provides. What a component
declares decides which laws apply to it: see the attributes of :class:`gkd.AbstractLoss` and
:class:`gkd.AbstractKernel`, and for the other kinds :mod:`gkd.testing.subject`.
"""

try:
    import hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "gkd.testing needs hypothesis: pip install 'gkd[testing]'", name=error.name
    ) from error

from gkd.testing import strategies
from gkd.testing.conformance import (
    ConformanceError,
    Report,
    Result,
    check,
    check_dataset,
    check_graph_builder,
    check_kernel,
    check_loss,
    check_model,
    check_task,
    check_weigher,
)
from gkd.testing.law import Law, LawViolation
from gkd.testing.laws import laws
from gkd.testing.parametrize import parametrize_with_checks
from gkd.testing.subject import Subject, selected, subject

__all__ = [
    "ConformanceError",
    "Law",
    "LawViolation",
    "Report",
    "Result",
    "Subject",
    "check",
    "check_dataset",
    "check_graph_builder",
    "check_kernel",
    "check_loss",
    "check_model",
    "check_task",
    "check_weigher",
    "laws",
    "parametrize_with_checks",
    "selected",
    "strategies",
    "subject",
]
