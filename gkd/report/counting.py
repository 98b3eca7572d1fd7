"""Networks of a recipe counted: what a table of the paper says of them, beside what they have."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gkd.evaluation.cost import parameter_count
from gkd.hosting.host import Host
from gkd.recipe.counted import Counted, CountedTable
from gkd.recipe.file import RecipeFile
from gkd.recipe.model import StudentRecipe, TeacherRecipe
from gkd.report.table import NOTHING, Table

PARAMETERS = "parameters"


def counts(
    recipe: TeacherRecipe | StudentRecipe, sizes: Mapping[str, int], host: Host
) -> dict[str, Counted]:
    """Make a network, and count what its model says of it, and its parameters.

    Args:
        recipe: of the network.
        sizes: what the data give its model, where that takes it.
        host: where the model comes from.
    """
    accepted = host.signature("model", recipe.name).parameters
    given = {name: size for name, size in sizes.items() if name in accepted}
    model: Any = host.create("model", recipe.name, **(given | recipe.params))
    architecture = model.architecture() if hasattr(model, "architecture") else {}
    return {**architecture, PARAMETERS: parameter_count(model)}


def count_networks(table: CountedTable, file: RecipeFile, host: Host) -> tuple[Table, list[str]]:
    """Return the counted table beside the published one, and what differs, in words."""
    networks = {"teacher": file.recipe.teacher, "student": file.recipe.student}
    body, differences = [], []
    for whose, published in table.published.items():
        network = networks[whose]
        with file.origins.context(whose):
            found = {} if network is None else counts(network, table.sizes, host)
        for what, theirs in published.items():
            ours = found.get(what)
            body.append([whose, what, NOTHING if ours is None else _text(ours), _text(theirs)])
            if ours is None or not _same(ours, theirs):
                differences.append(f"{whose}: {what} {body[-1][2]} ({_text(theirs)} there)")
    header = ["network", "what", "gkd", table.source]
    return Table(header, body, labels=2), [*differences, *table.remarks]


def _same(ours: Counted, theirs: Counted) -> bool:
    """Whether two counts are one, as exactly as the published one is printed."""
    if isinstance(ours, int) and isinstance(theirs, str):
        decimals = len(re.sub(r"^\d*\.?|M$", "", theirs))
        return f"{ours / 1e6:.{decimals}f}M" == theirs
    return ours == theirs


def _text(value: Counted) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else value
