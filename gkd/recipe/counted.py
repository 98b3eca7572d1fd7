"""Tables of the paper that describe networks: counted, where other tables are trained."""

from typing import Literal

from pydantic import Field

from gkd.files import parse_toml
from gkd.recipe.shipped import counted_files
from gkd.recipe.values import Part

Counted = int | str | list[int]


class CountedTable(Part):
    """What to count, and what somebody published of it.

    Args:
        title: of the table.
        recipe: whose teacher and student are counted: the ones that its runs train.
        source: who published, where.
        sizes: parameters of models that the data give, which need not be there.
        published: by network and what is counted, as a model's ``architecture()`` calls it;
            ``parameters`` in millions, ``"3.64M"``.
        remarks: what else there is to say.
    """

    title: str
    recipe: str
    source: str
    sizes: dict[str, int]
    published: dict[Literal["teacher", "student"], dict[str, Counted]]
    remarks: list[str] = Field(default_factory=list)


def counted_table(name: str) -> CountedTable:
    """Return a table that comes with gkd.

    >>> counted_table("table1").published["student"]["layers"]
    5
    """
    (file,) = (one for one in counted_files() if one.name == f"{name}.toml")
    return CountedTable.model_validate(parse_toml(file.read_text(encoding="utf-8")))
