"""Write ``docs/zoo.md``: every shipped loss, from what it declares and what was measured.

    python docs/generate/zoo.py

What a method costs comes from ``results/zoo/cost.json``, which is what
``gkd bench 'zoo-*' --json`` prints; how they do, from the rankings that ``results/zoo/rank.py``
wrote.
"""

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gkd.commands.listing import component_row, loss_words
from gkd.hosting.host import create_host
from gkd.hosting.records import Component

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "zoo.md"
COST = ROOT / "results" / "zoo" / "cost.json"
RANKINGS = ROOT / "results" / "zoo"
SHIPPED = "gkd"

INTRODUCTION = """\
# The zoo

{count} losses, each a file named by its method, pinned to a float64 reference and, where public
code exists, to its values. `python docs/generate/zoo.py` makes this page from what the losses
declare; `gkd components loss` prints the same of whatever is installed.

*Needs*: parts of the two views (`logits`, `features` of a tap, `layers` of several taps, the
`graph`); `step` for labels, ids or a second pass; `teachers` where several teach; `learned` for
parts that learn with the student. *Memory* is bounded where no tensor has a number for every pair
of nodes, or features for every edge. *Equal to*: public code whose value on recorded inputs the
tests compare with, to 1e-6; where units differ, the docstring has the factor.
{cost}"""
MEASURED = """*Time* and *memory* are those of a step with
the loss, its teacher cached, in units of the student's step without it: the small GAT of the
paper's table 1 on a graph of 2,372 nodes and 66,057 edges (`{command}`, {cpu}, {threads} threads,
medians).
"""

RANKED = """\
## How they do

The same students, trained with every loss that applies, each tuned with as many trials: mean and
standard deviation of five seeds, differences over paired seeds, 95 % intervals corrected for the
number of methods by Holm's procedure. Without a word behind it, an interval holds 0: no difference
was found. One setting says nothing of another, and a rank little more than its interval.
[The results](../results/README.md#zoo-how-the-losses-do) have the protocol, the commands and what
they show.
"""


def page() -> str:
    """Return the page."""
    losses = {
        name: (component, component_row(name, component))
        for name, component in sorted(create_host().components("loss").items())
        if component.source.distribution == SHIPPED
    }
    cost = json.loads(COST.read_text()) if COST.exists() else {"cases": []}
    cases = {case["case"].removeprefix("zoo-"): case for case in cost["cases"]}
    measured = ""
    if cases:
        hardware = cost["hardware"]
        measured = MEASURED.format(
            command=cost["command"], cpu=hardware["cpu"], threads=hardware["threads"]
        )
    parts = [INTRODUCTION.format(count=len(losses), cost=measured), _table(losses, cases)]
    parts += _rankings()
    parts += [_section(name, *loss) for name, loss in losses.items()]
    return "\n".join(parts)


def _table(
    losses: Mapping[str, tuple[Component, dict[str, Any]]], cases: Mapping[str, dict[str, Any]]
) -> str:
    rows = ["| method | paper | needs | outputs | memory | time | memory of a step | equal to |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for name, (_, row) in losses.items():
        words = loss_words(row["declares"])
        case = cases.get(name)
        time, memory = ("", "")
        if case:
            sides = case["ours"], case["theirs"]
            time = f"{1 / case['speed']['median']:.2f}"
            memory = f"{sides[0]['step_bytes'] / sides[1]['step_bytes']:.2f}"
        codes = [f"[{code}](https://github.com/{code})" for code in row["declares"]["parity"]]
        paper = row["declares"]["paper"]
        cells = [
            f"[`{name}`](#{name})",
            f"[{words['paper']}]({paper['url']})" if paper else "",
            words["needs"],
            words["outputs"],
            words["memory"],
            time,
            memory,
            ", ".join(codes),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, ""])


def _rankings() -> list[str]:
    """Return the section of what was compared, empty where nothing was."""
    found = [
        f"### {file.parent.name}\n\n{file.read_text(encoding='utf-8')}"
        for file in sorted(RANKINGS.glob("*/ranking.md"))
    ]
    return [RANKED, *found] if found else []


def _section(name: str, component: Component, row: dict[str, Any]) -> str:
    documentation = inspect.cleandoc(component.factory.__doc__ or "")
    parts = [f"## {name}", _markdown(row["summary"])]
    if formula := _formula(documentation):
        parts.append(f"```math\n{formula}\n```")
    if when := _when(documentation):
        parts.append(f"*When to take it:* {when}")
    paper = row["declares"]["paper"]
    if paper:
        parts.append(
            f"{paper['authors']}: [{paper['title']}]({paper['url']}), {paper['venue']} "
            f"{paper['year']}."
        )
    parts.append(f"Parameters: `{row['signature']}`")
    return "\n\n".join(parts) + "\n"


def _formula(documentation: str) -> str:
    """Return the first displayed formula, empty where there is none."""
    found = re.search(r"^\.\. math::(.*?)(?=^\S|\Z)", documentation, re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _when(documentation: str) -> str:
    """Return the section that says when to take it, empty where there is none."""
    found = re.search(r"^When:\n(.*?)(?=^\S|\Z)", documentation, re.DOTALL | re.MULTILINE)
    return _markdown(" ".join(found[1].split())) if found else ""


def _markdown(text: str) -> str:
    """Return a sentence of a docstring as Markdown has it."""
    return re.sub(r":math:`(.*?)`", r"$\1$", text).replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page())
