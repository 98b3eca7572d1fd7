"""``pytest --gkd NAME``: every law of installed components as a test."""

from pathlib import Path
from typing import Any

import pytest

from gkd.errors import GkdError
from gkd.testing.parametrize import Check, checks
from gkd.testing.subject import EXAMPLES, selected


class LawItem(pytest.Item):
    """One law for one component.

    Args:
        check: the law and the component.
        **kwargs: of :class:`pytest.Item`.
    """

    def __init__(self, *, check: Check, **kwargs: Any) -> None:
        super().__init__(nodeid=f"{check.target.label}::{check.law.name}", **kwargs)
        self._check = check

    def runtest(self) -> None:
        """Check the law."""
        self._check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the message alone: the kit's own stack tells nothing."""
        if isinstance(excinfo.value, GkdError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return what stands over a failure."""
        return self.path, None, self.name


def pytest_configure(config: pytest.Config) -> None:
    """Leave out the tests that pytest would look for by itself."""
    if config.args_source is not config.ArgsSource.ARGS:
        config.args[:] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for every law of every component."""
    examples = config.getoption("gkd_examples") or EXAMPLES
    try:
        named = [made for text in config.getoption("gkd") for made in selected(text, examples)]
        # A component that several names stand for is checked once.
        targets = {target.label: target for target in named}.values()
        for check in checks(targets):
            items.append(LawItem.from_parent(session, name=check.id, check=check))
    except GkdError as error:
        raise pytest.UsageError(f"--gkd: {error}") from error
