"""Answers of networks on the test split, and how often two agree."""

import pytest
import torch

from gkd.errors import DataError
from gkd.evaluation.answers import FILE_NAME, agreement, read_answers, write_answers


@pytest.mark.parametrize("most", [1, 255, 256, 40_000, 2**31])
def test_what_is_written_is_read(tmp_path, most):
    answers = torch.tensor([0, most, 1])
    write_answers(tmp_path, answers)
    assert torch.equal(read_answers(tmp_path), answers)


def test_damage_is_named(tmp_path):
    write_answers(tmp_path, torch.arange(9))
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=FILE_NAME):
        read_answers(tmp_path)


def test_answers_to_other_questions_do_not_agree_or_differ(tmp_path):
    assert read_answers(tmp_path) is None
    assert agreement(None, torch.arange(3)) is None
    assert agreement(torch.arange(2), torch.arange(3)) is None
    assert agreement(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 0, 3, 4])) == 0.75
