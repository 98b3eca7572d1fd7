"""The option ``--gkd`` of pytest.

It lies outside of the package ``gkd``, so that sessions without the option do not wait for torch.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("gkd", "laws of gkd components")
    group.addoption(
        "--gkd",
        action="append",
        default=[],
        metavar="NAME",
        help="check an installed component ('loss:lsp', 'graph:radius {radius = 0.5}'), or all of "
        "a plugin or distribution; may be given several times; alone if no files are given",
    )
    group.addoption(
        "--gkd-examples",
        type=int,
        default=None,
        metavar="N",
        help="how many problems most laws try",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load what checks components, if it is asked for."""
    if config.getoption("gkd"):
        config.pluginmanager.import_plugin("gkd.testing.pytest_plugin")
