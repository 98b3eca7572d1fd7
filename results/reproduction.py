"""Write ``docs/reproduction.md``: what was published beside what the folders here have found.

    python results/reproduction.py

Every folder ``results/NAME`` or ``results/NAME-…`` with a ``results.json`` is a run of ``gkd
reproduce NAME``; what has none is said to be missing. Published numbers are those of today's
recipes, or of the run's own where it is of other networks; tables 1 and 3 are counted here and now.
``remarks.md`` of a folder says what no program can know of its data and its machine; where it has a
word on times, these are left out.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from gkd.hosting.host import create_host
from gkd.recipe.counted import counted_table
from gkd.recipe.file import read_recipe
from gkd.recipe.model import BASELINE, FORMER_BASELINE, Recipe
from gkd.recipe.shipped import counted_tables, reproductions
from gkd.report.cost_table import cost_table, cost_title
from gkd.report.counting import count_networks
from gkd.report.outputs import escaped, markdown_table
from gkd.report.published import deviations
from gkd.report.results import Results
from gkd.report.size_table import size_table
from gkd.report.structure_table import STRUCTURE, structure_table
from gkd.report.table import Table, comparison_table, verdicts

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "reproduction.md"

_OF_THIS_MACHINE = ("ms per sample", "times faster", "training", "s per epoch", "step memory")
_NOT_PUBLISHED = ("as the teacher, %", "calibration error")
_MEANT = ("device", "hardware", "command", "seeds", "epochs", "dataset")


def page(results: Path = HERE) -> str:
    """Return the text of the page.

    Args:
        results: folder with the folders of runs.
    """
    first = ("reproduction.md", "differences.md")
    parts = [(HERE / name).read_text(encoding="utf-8").strip() for name in first]
    for name in reproductions():
        parts += counted(name) if name in counted_tables() else trained(name, results)
    return "\n\n".join(parts) + "\n"


def counted(name: str) -> Iterator[str]:
    """Count the networks of a table."""
    table = counted_table(name)
    found, differences = count_networks(table, read_recipe(table.recipe), create_host())
    yield f"## {name}: {escaped(table.title)}"
    yield markdown_table(found)
    yield from bullets([f"unlike {table.source}: {one}" for one in differences])


def trained(name: str, results: Path) -> Iterator[str]:
    """Set the runs of a table or figure beside what was published of it."""
    recipe = read_recipe(name).recipe
    yield f"## {name}: {escaped(recipe.title)}"
    folders = [path.parent for path in sorted(results.glob(f"{name}*/results.json"))]
    for folder in (one for one in folders if one.name.partition("-")[0] == name):
        run = with_todays_names(json.loads((folder / "results.json").read_text(encoding="utf-8")))
        # A run of other networks than the table's is beside what was published of these.
        sources = {one.source for one in recipe.published}
        if not run.published or any(one.source in sources for one in run.published):
            run = run.model_copy(update={"published": recipe.published})
        yield f"`results/{folder.name}`: {escaped(run.title)}"
        yield markdown_table(comparison_table([run]).without(*_NOT_PUBLISHED))
        yield from bullets(verdicts(run))
        remarks = folder / "remarks.md"
        said = remarks.read_text(encoding="utf-8").strip() if remarks.is_file() else ""
        if "- times:" not in said and (costs := cost_table(run)):
            yield f"{escaped(cost_title(run))}:"
            yield markdown_table(costs)
        else:
            yield markdown_table(size_table([run]).without(*_OF_THIS_MACHINE))
        if structure := structure_table(run):
            yield f"{STRUCTURE}:"
            yield markdown_table(structure)
        how = [(key, run.protocol[key]) for key in _MEANT if key in run.protocol]
        (listed,) = bullets([f"{key}: {text}" for key, text in (*how, *deviations(run))])
        yield f"{listed}\n{said}".strip()
    if not folders:
        named = ", ".join(one.source for one in recipe.published)
        yield f"Not run here yet. Published: {escaped(named)}."
        if any(one.test for one in recipe.published):
            yield markdown_table(published_table(recipe))


def published_table(recipe: Recipe) -> Table:
    """Set out what was published of a recipe's networks, by source."""
    sources = recipe.published
    methods = dict.fromkeys(name for one in sources for name in one.test)
    body = [[name, *(str(one.test.get(name, "–")) for one in sources)] for name in methods]
    return Table(["network", *(f"{one.source}, %" for one in sources)], body)


def with_todays_names(content: dict[str, object]) -> Results:
    """Read results, of which older ones call the baseline otherwise."""
    former, now = f'"{FORMER_BASELINE}"', f'"{BASELINE}"'
    text = json.dumps(content)
    return Results.model_validate_json(text if now in text else text.replace(former, now))


def bullets(sentences: Sequence[str]) -> Iterator[str]:
    """List sentences, where there are any."""
    if sentences:
        yield "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
