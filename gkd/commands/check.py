"""What ``gkd check`` does: the laws of a kind, over components that are installed or not."""

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gkd.commands.listing import print_json, print_table, quietly
from gkd.errors import GkdError, ParameterError, UnknownNameError
from gkd.hosting.host import current_host
from gkd.hosting.kinds import KINDS, kind_named
from gkd.hosting.own_code import imported
from gkd.hosting.records import Problem

if TYPE_CHECKING:
    from gkd.testing import Report, Subject

_KIT = ("pytest", "hypothesis")


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Options of ``gkd check``.

    Args:
        kind: of the components to check; needed where an object does not show its own.
        expected: ``LAW=REASON``, laws that are known to be broken.
        examples: problems that most laws try; None takes the kit's own number.
    """

    kind: str | None = None
    expected: Sequence[str] = ()
    examples: int | None = None

    @property
    def reasons(self) -> dict[str, str]:
        """Reason by law of those that are known to be broken.

        Raises:
            ParameterError: one is given without a reason.
        """
        pairs = [setting.partition("=") for setting in self.expected]
        for law, equals, _ in pairs:
            if not equals:
                raise ParameterError(f"an expected failure is given as LAW=REASON, got {law!r}")
        return {law.strip(): reason.strip() for law, _, reason in pairs}


def run_checks(target: str, options: CheckOptions, *, as_json: bool) -> bool:
    """Check what ``target`` names and print a table of laws for each; return whether all passed.

    Args:
        target: an installed plugin or component, or ``MODULE:OBJECT``.
        options: which components, and how.
        as_json: print JSON instead.

    Raises:
        UnknownNameError: nothing is called so.
        ParameterError: an object cannot be imported or created, or is not a component.
        GkdError: pytest or hypothesis is not installed.
    """
    if options.kind is not None:
        kind_named(options.kind)
    for module in _KIT:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:  # it is installed, and lacks something itself
                raise
            raise GkdError(
                f"gkd check needs {' and '.join(_KIT)}, and {module} is not installed; "
                "run: pip install 'gkd[testing]'"
            ) from None
    from hypothesis.configuration import set_hypothesis_home_dir

    reasons = options.reasons
    reports = []
    with ExitStack() as stack:
        # hypothesis would keep its notes in the working directory.
        set_hypothesis_home_dir(stack.enter_context(TemporaryDirectory()))
        stack.callback(set_hypothesis_home_dir, None)
        for subject in quietly(partial(_subjects, target, options)):
            reports.append(quietly(partial(_check, subject, reasons)))
            if not as_json:
                _print_report(reports[-1])
    passed = all(report.passed for report in reports)
    if as_json:
        print_json({"passed": passed, "reports": [report.to_dict() for report in reports]})
    elif len(reports) > 1:
        failed = [f"{report.kind}:{report.name}" for report in reports if not report.passed]
        print(f"{len(reports)} components checked; failed: {', '.join(failed) or 'none'}")
    return passed


def _subjects(target: str, options: CheckOptions) -> "list[Subject]":
    from gkd.testing import selected
    from gkd.testing.subject import EXAMPLES, kind_of, subject

    examples = options.examples or EXAMPLES
    if target.partition(":")[0] not in KINDS and current_host().is_own(target):
        component = imported(target, Path.cwd())
        try:
            kind = options.kind or kind_of(component)
        except ParameterError:
            raise ParameterError(
                f"cannot infer the kind of {target}; add --kind with one of {', '.join(KINDS)}"
            ) from None
        return [subject(kind, component, examples=examples)]
    kinds = {options.kind} if options.kind else set(KINDS)
    subjects = [one for one in selected(target, examples) if one.kind in kinds]
    if not subjects:
        raise UnknownNameError(f"{target!r} provides no {options.kind}")
    return subjects


def _check(subject: "Subject", reasons: Mapping[str, str]) -> "Report":
    from gkd.testing.conformance import check_subject

    try:
        _ = subject.specimen  # a component that cannot be created would break every law
    except GkdError as error:
        error.add_note(
            f"give parameters, as in '{subject.kind}:NAME {{parameter = value}}', or list some in "
            "the component's example_parameters"
        )
        raise
    except Exception as error:
        raise ParameterError(
            f"{subject.label} cannot be created: {Problem.of(error, subject.module)}"
        ) from error
    return check_subject(subject, reasons)


def _print_report(report: "Report") -> None:
    counts = Counter(result.outcome for result in report.results)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    print(f"{report.kind}:{report.name}: {summary} ({report.seconds:.1f} s)\n")
    rows = [
        {
            "law": result.law,
            "outcome": result.outcome,
            "time": f"{result.seconds:.2f} s",
            "note": "" if result.outcome == "failed" else result.message,
        }
        for result in report.results
        if result.outcome != "not-tried"
    ]
    untried = [result for result in report.results if result.outcome == "not-tried"]
    if untried:  # for one reason, which stands above
        law = f"{len(untried)} others"
        rows.append({"law": law, "outcome": "not-tried", "time": "", "note": untried[0].message})
    print_table({"Law": "law", "Outcome": "outcome", "Time": "time", "Note": "note"}, rows)
    for result in report.failures:
        print(f"\n{result}")
    print()
