"""What ``gkd check`` does: the laws of a kind, over components that are installed or not."""

import importlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gkd.commands.listing import print_json, quietly
from gkd.commands.tables import print_table
from gkd.errors import NAMED, GkdError, ParameterError, UnknownNameError
from gkd.errors.causes import Problem
from gkd.hosting.example_parameters import example_parameters
from gkd.hosting.host import current_host
from gkd.hosting.kinds import KINDS, kind_named
from gkd.hosting.own_code import imported
from gkd.hosting.parameters import path_parameters, signature_of

if TYPE_CHECKING:
    from gkd.testing import Report, Subject

_KIT = ("pytest", "hypothesis")


class _CannotBeMade(ParameterError):
    """What is to be checked cannot be made with its parameters."""


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

    Of several components the others are checked where some cannot be made.

    Args:
        target: an installed plugin or component, or ``MODULE:OBJECT``, each alone or with its kind
            before and parameters after it, ``"loss:my_losses:Margin {margin = 0.5}"``.
        options: which components, and how.
        as_json: print JSON instead.

    Raises:
        UnknownNameError: nothing is called so.
        ParameterError: an object cannot be imported or created, or is not a component.
        GkdError: pytest or hypothesis is not installed; or, when all that could be made passed,
            some could not.
    """
    if options.kind is not None:
        kind_named(options.kind)
    _require_kit()
    import torch
    from hypothesis.configuration import set_hypothesis_home_dir

    # The problems are small: a second thread only waits, and on a busy machine it waits long.
    torch.set_num_threads(1)

    reasons = options.reasons
    reports, unmade, notes = [], {}, {}
    with ExitStack() as stack:
        # hypothesis would keep its notes in the working directory.
        set_hypothesis_home_dir(stack.enter_context(TemporaryDirectory()))
        stack.callback(set_hypothesis_home_dir, None)
        subjects = quietly(partial(_subjects, target, options))
        for subject in subjects:
            try:
                report = quietly(partial(_check, subject, reasons))
            except _CannotBeMade as error:
                if len(subjects) == 1:
                    raise
                unmade[subject.label] = str(error)
                if not as_json:
                    print(f"{subject.label}: not checked: {error}\n")
                continue
            reports.append(report)
            if note := _shared_name(subject):
                notes[subject.label] = note
            if not as_json:
                _print_report(report, note)
    passed = all(report.passed for report in reports)
    if as_json:
        content = [report.to_dict() for report in reports]
        found = {"reports": content, "not_checked": unmade, "notes": notes}
        print_json({"passed": passed and not unmade, **found})
    elif len(subjects) > 1:
        failed = [f"{report.kind}:{report.name}" for report in reports if not report.passed]
        print(f"{len(reports)} components checked; failed: {', '.join(failed) or 'none'}")
    if passed and unmade:
        raise GkdError(
            f"{len(unmade)} of {len(subjects)} components could not be made, and were not checked: "
            f"{', '.join(unmade)}"
        )
    return passed


def _require_kit() -> None:
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


def _meant(target: str) -> str | None:
    """Say what to name in place of a kind, or of a module that is here and not installed."""
    if target in KINDS:
        return f"it is a kind: name a component, {target}:NAME, or a plugin with --kind {target}"
    # Unlike a Path, os.path makes no error of too long a name.
    if os.path.isfile(f"{target}/pyproject.toml"):
        return f"its project is in the folder {target}: pip install -e {target}"
    module = target.removesuffix(".py").replace("-", "_")
    if not os.path.isfile(f"{module}.py"):
        return None
    return (
        f"{module}.py is here: name an object in it, {module}:CLASS, or install its project, "
        "pip install -e ."
    )


def _subjects(target: str, options: CheckOptions) -> "list[Subject]":
    from gkd.testing import selected
    from gkd.testing.subject import EXAMPLES, kind_of, name_and_parameters, subject

    examples = options.examples or EXAMPLES
    name, params = name_and_parameters(target)
    named, _, short = name.partition(":")
    # Of kind:name, the name may be a place, too.
    kind, place = (named, short) if named in KINDS else (options.kind, name)
    if current_host().is_own(place):
        component = imported(place, Path.cwd())
        try:
            kind = kind or kind_of(component)
        except ParameterError:
            raise ParameterError(
                f"cannot infer the kind of {place}; add --kind with one of {', '.join(KINDS)}"
            ) from None
        choices = example_parameters(component) if params is None else (params,)
        return [subject(kind, component, choice, examples) for choice in choices]
    kinds = {options.kind} if options.kind else set(KINDS)
    try:
        found = selected(target, examples)
    except UnknownNameError as error:
        there = any(record.source.is_called(target) for record in current_host().plugins)
        if not there and (meant := _meant(target)) is not None:
            raise UnknownNameError(f"{target!r} is not installed; {meant}") from error
        raise
    subjects = [one for one in found if one.kind in kinds]
    if not subjects:
        raise UnknownNameError(f"{target!r} provides no {options.kind}")
    return subjects


def _check(subject: "Subject", reasons: Mapping[str, str]) -> "Report":
    from gkd.testing.conformance import check_subject

    try:
        _ = subject.specimen  # a component that cannot be created would break every law
    except GkdError as error:
        raise _CannotBeMade(f"{error}{_remedy(subject)}") from error
    except Exception as error:
        raise _CannotBeMade(
            f"{subject.label} cannot be created: {Problem.of(error, subject.module)}"
        ) from error
    return check_subject(subject, reasons)


def _shared_name(subject: "Subject") -> str:
    """Say of a component whose name others have, too, that recipes cannot ask for it by that."""
    listed = subject.name.partition("(")[0].strip()
    components = current_host().components(subject.kind)
    if listed not in components or ":" not in listed:  # the name of one alone is listed short
        return ""
    one = components[listed]
    owners = [
        each.source.release
        for each in components.values()
        if each.name == one.name and each.source != one.source
    ]
    return (
        f"{' and '.join(owners)} offers {subject.kind} {one.name!r}, too: with both installed that "
        f"name is refused, and recipes say {one.qualified!r}; choose another name"
    )


def _remedy(subject: "Subject") -> str:
    """Say how a component gets the parameters that it cannot be made without, on a new line."""
    lacking = [
        parameter.name
        for parameter in signature_of(subject.factory).parameters.values()
        if parameter.kind in NAMED
        and parameter.default is parameter.empty
        and parameter.name not in subject.params
    ]
    if not lacking:
        return ""
    values = ", ".join(f"{name} = VALUE" for name in lacking)
    other = "list some in the component's example_parameters"
    if {*lacking} <= path_parameters(subject.factory) and hasattr(
        subject.factory, "example_parameters"
    ):
        other = "set GKD_DATA to the folder of your data sets, where its example is"
    name = subject.label.partition("(")[0]
    return f"\n  give them, as in '{name} {{{values}}}', or {other}"


def _print_report(report: "Report", note: str) -> None:
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
    if note:
        print(f"\n{note}")
    print()
