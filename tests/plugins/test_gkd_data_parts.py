"""parts: what they look like, and that points lie on the surface that they are labelled with."""

import numpy as np
import pytest
import torch

import gkd
from gkd_data.parts import Parts

SMALL = {"train_objects": 6, "validation_objects": 2, "test_objects": 2, "points": 64}


def everything(data: Parts) -> list[gkd.Sample]:
    return [*data.train, *data.validation, *data.test]


def test_they_are_offered_by_name_with_what_a_model_must_know() -> None:
    data = gkd.create("dataset", "parts", **SMALL)
    assert data.task == "segmentation"
    assert (data.num_features, data.num_classes) == (3, 5)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [6, 2, 2]
    for sample in everything(data):
        assert sample.pos.shape == (64, 3)
        assert sample.pos.dtype == torch.float32
        assert sample.y.shape == (64,)
        assert 2 <= len(sample.y.unique()) <= 3
        assert sample.pos.norm(dim=1).max() == pytest.approx(1, abs=1e-5)


def test_all_classes_and_numbers_of_parts_occur() -> None:
    data = Parts(train_objects=60, validation_objects=1, test_objects=1, points=64)
    counts = {len(sample.y.unique()) for sample in data.train}
    assert counts == {2, 3}
    assert torch.cat([sample.y for sample in data.train]).unique().tolist() == [0, 1, 2, 3, 4]


def test_the_first_points_are_a_fair_choice_of_all() -> None:
    data = Parts(train_objects=40, validation_objects=1, test_objects=1, points=64)
    kinds = [len(sample.y[:32].unique()) for sample in data.train]
    assert np.mean(kinds) > 1.8


def test_points_of_a_ball_lie_on_one() -> None:
    classes = ("ellipsoid", "torus")
    data = Parts(
        train_objects=8, validation_objects=1, test_objects=1, points=400, most=2, noise=0.0,
        rotation="none", classes=classes,
    )  # fmt: skip
    for sample in data.train:
        # x² + y² + (z/h)² of an ellipsoid about some centre is linear in nine numbers.
        pos = sample.pos[sample.y == 0].double()
        columns = torch.cat([pos.square(), pos], dim=1)
        solved = torch.linalg.lstsq(columns, torch.ones(len(pos), 1, dtype=torch.float64))
        assert (columns @ solved.solution - 1).abs().max() < 0.1
        other = sample.pos[sample.y == 1].double()
        assert (torch.cat([other.square(), other], 1) @ solved.solution - 1).abs().max() > 0.2


def test_more_objects_leave_the_others_as_they_are() -> None:
    few, more = Parts(**SMALL), Parts(**{**SMALL, "train_objects": 9})
    for one, other in zip(everything(few)[:6], more.train, strict=False):
        assert torch.equal(one.pos, other.pos)
        assert torch.equal(one.y, other.y)
    assert not torch.equal(few.train[0].pos, Parts(**SMALL, seed=1).train[0].pos)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"classes": ("torus", "tours")}, gkd.UnknownNameError, "did you mean 'torus'"),
        ({"classes": ("torus", "box")}, gkd.ParameterError, "at least 3 different ones"),
        ({"classes": ("torus",) * 3}, gkd.ParameterError, "at least 3 different ones"),
        ({"most": 1}, gkd.ParameterError, "'most' must be int >= 2"),
        ({"rotation": "x"}, gkd.ParameterError, "'rotation' must be 'all' | 'z' | 'none'"),
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Parts(**wrong)
