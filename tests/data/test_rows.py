"""Rows: which nodes of a batch a loss takes."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gkd.data.rows import Rows
from gkd.errors import DataError, ParameterError


def taken(text: str, num_rows: int, **attributes: object) -> list[int] | None:
    rows = Rows.parse(text).of(SimpleNamespace(**attributes), num_rows)
    return None if rows is None else rows.tolist()


@given(mask=st.lists(st.booleans(), min_size=1, max_size=12))
def test_a_mask_and_its_complement_share_out_all_rows(mask: list[bool]) -> None:
    chosen = taken("m", len(mask), m=torch.tensor(mask))
    others = taken("~m", len(mask), m=torch.tensor(mask))
    assert chosen == [row for row, value in enumerate(mask) if value]
    assert sorted([*chosen, *others]) == list(range(len(mask)))


@given(data=st.data(), splits=st.integers(1, 4), nodes=st.integers(1, 6))
def test_each_column_is_a_mask_of_its_own(data: st.DataObject, splits: int, nodes: int) -> None:
    bits = st.lists(st.booleans(), min_size=splits, max_size=splits)
    masks = torch.tensor(data.draw(st.lists(bits, min_size=nodes, max_size=nodes)))
    for split in range(splits):
        expected = masks[:, split].nonzero().flatten().tolist()
        assert taken(f"m[{split}]", nodes, m=masks) == expected


def test_row_numbers_ascend() -> None:
    assert taken("index", 5, index=torch.tensor([4, 0])) == [0, 4]
    assert taken("~index", 5, index=torch.tensor([4, 0])) == [1, 2, 3]


def test_all_rows_are_none() -> None:
    assert taken("all", 3) is None


def test_seeds_come_first_in_a_sampled_batch() -> None:
    assert taken("seeds", 5, batch_size=2) == [0, 1]
    assert taken("~seeds", 5, batch_size=2) == [2, 3, 4]


@pytest.mark.parametrize("text", ["", "~", "~all", "m[", "m[x]", "~~m", 3, None])
def test_other_forms_are_refused(text: object) -> None:
    with pytest.raises(
        ParameterError, match=r"names no rows: expected a mask .* 'train_mask\[0\]'"
    ):
        Rows.parse(text)


@pytest.mark.parametrize(
    ("text", "attributes", "message"),
    [
        ("m", {}, "no 'm'"),
        ("trian_mask", {"train_mask": torch.ones(3).bool()}, "did you mean 'train_mask'"),
        ("m", {"m": torch.ones(2).bool()}, "an entry for each of 3 rows"),
        ("m", {"m": torch.ones(3)}, "must be boolean"),
        ("m", {"m": torch.ones(3, 2).bool()}, r"from 'm\[0\]' to 'm\[1\]'"),
        ("m[2]", {"m": torch.ones(3, 2).bool()}, "one column for each of 2 splits"),
        ("m[0]", {"m": torch.ones(3).bool()}, "has no split 0"),
        ("m", {"m": torch.tensor([0, 3])}, "row numbers from 0 to 3, of 3 rows"),
        ("m", {"m": torch.tensor([-1, 1])}, "row numbers from -1 to 1"),
        ("m", {"m": torch.tensor([1, 1])}, "lists a row twice"),
        ("seeds", {}, "no 'batch_size'"),
        ("seeds", {"batch_size": 4}, "a number of rows up to 3"),
    ],
)
def test_what_does_not_fit_the_batch(text: str, attributes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        taken(text, 3, **attributes)


def test_a_mask_itself_is_no_name_of_one() -> None:
    with pytest.raises(ParameterError, match="names no rows: expected a mask") as caught:
        Rows.parse(torch.ones(500, dtype=torch.bool))
    assert len(str(caught.value)) < 400
