import numpy as np
import pytest
import torch
from cloud_samples import everyone

from gkd import Distiller, ParameterError, Sample, Term, UnknownNameError, collate, create
from gkd_data.shape_classes import SHAPES
from gkd_data.shapes import Shapes

COUNTS = {"train_per_class": 3, "validation_per_class": 2, "test_per_class": 2}


def shapes(**options: object) -> Shapes:
    return Shapes(**{"points": 32, **COUNTS, **options})


def positions(data: Shapes) -> dict[str, torch.Tensor]:
    return {sample.id: sample.pos for sample in everyone(data)}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(pos, second[id]) for id, pos in first.items()
    )


class TestDataset:
    def test_is_offered_as_a_plugin(self) -> None:
        data = create("dataset", "shapes", points=16, classes=["torus", "band"], **COUNTS)
        assert (data.task, data.inputs) == ("single-label", ("pos", "batch"))
        assert (data.num_features, data.num_classes) == (3, 2)

    def test_has_every_class_in_every_split(self) -> None:
        data = shapes()
        assert data.num_classes == len(data.class_names) == len(SHAPES) >= 10
        for split, count in zip(("train", "validation", "test"), COUNTS.values(), strict=True):
            labels = torch.cat([sample.y for sample in getattr(data, split)])
            assert labels.dtype == torch.int64
            assert labels.bincount().tolist() == [count] * data.num_classes

    def test_a_sample_is_called_after_its_class(self) -> None:
        data = shapes()
        for sample in everyone(data):
            _, name, _ = sample.id.split("/")
            assert data.class_names[int(sample.y)] == name

    def test_ids_differ_between_all_samples(self) -> None:
        ids = [sample.id for sample in everyone(shapes())]
        assert len(set(ids)) == len(ids) == len(SHAPES) * sum(COUNTS.values())

    def test_samples_can_be_batched(self) -> None:
        batch = collate(shapes(points=20).train[:5])
        assert batch.pos.shape == (100, 3)
        assert batch.pos.dtype == torch.float32

    def test_every_cloud_fills_the_unit_sphere(self) -> None:
        for sample in everyone(shapes(noise=0.05)):
            assert float(sample.pos.norm(dim=1).max()) == pytest.approx(1, abs=1e-5)
            assert float(sample.pos.mean(0).norm()) == pytest.approx(0, abs=1e-5)

    def test_no_two_objects_are_the_same(self) -> None:
        clouds = torch.stack([sample.pos.flatten() for sample in everyone(shapes())])
        distances = torch.cdist(clouds, clouds).fill_diagonal_(torch.inf)
        assert float(distances.min()) > 0.1


class TestDeterminism:
    def test_equal_parameters_give_equal_samples(self) -> None:
        assert equal(positions(shapes()), positions(shapes()))

    def test_the_seed_changes_every_object(self) -> None:
        first, second = positions(shapes(seed=0)), positions(shapes(seed=1))
        assert not any(torch.equal(pos, second[id]) for id, pos in first.items())

    def test_more_objects_leave_the_others_as_they_are(self) -> None:
        few, many = positions(shapes()), positions(shapes(train_per_class=5))
        assert equal(few, {id: pos for id, pos in many.items() if id in few})

    def test_fewer_classes_leave_the_others_as_they_are(self) -> None:
        every, few = positions(shapes()), positions(shapes(classes=("saddle", "box")))
        assert equal(few, {id: pos for id, pos in every.items() if id in few})
        assert len(few) == 2 * sum(COUNTS.values())

    def test_augmentation_is_off_unless_asked_for(self) -> None:
        assert not shapes().augmented
        data = shapes(augment=True)
        assert data.augmented
        before = data.train[0].pos
        data.set_epoch(1)
        assert not torch.equal(data.train[0].pos, before)
        data.set_epoch(0)
        assert torch.equal(data.train[0].pos, before)

    def test_one_network_may_see_what_another_sees_augmented(self) -> None:
        class Pooled(torch.nn.Linear):
            def forward(self, pos, batch):
                self.seen = pos
                return super().forward(pos).unflatten(0, (-1, 32)).amax(1)

        data = shapes(augment=True)
        batch = collate([data.train[i] for i in range(3)])
        student, teacher = Pooled(3, data.num_classes), Pooled(3, data.num_classes)
        inputs = {"student": data.inputs, "teacher": {"pos": "original", "batch": "batch"}}
        Distiller(teacher, student, [Term("kd")], task=data.task, inputs=inputs)(batch)
        assert torch.equal(student.seen, batch.pos)
        assert torch.equal(teacher.seen, batch.original)
        assert not torch.equal(batch.pos, batch.original)
        assert all(torch.equal(s.pos, s.original) for s in (*data.validation, *data.test))


UPRIGHT = {"classes": ("cylinder", "torus"), "rotation": "none", "visible": 1.0}


def _oblongness(sample: Sample) -> float:
    """How much an object is longer along x than along y, or the other way round."""
    extent = sample.pos.amax(0) - sample.pos.amin(0)
    return abs(float((extent[0] / extent[1]).log()))


class TestOptions:
    def test_noise_moves_every_coordinate_by_its_deviation(self) -> None:
        clean = positions(shapes(noise=0.0, points=200))
        noisy = positions(shapes(noise=0.01, points=200))
        moves = torch.stack([noisy[id] - pos for id, pos in clean.items()])
        assert float(moves.std()) == pytest.approx(0.01, rel=0.1)
        # Centring and scaling move a cloud as a whole, noise every point by itself.
        assert float((moves[:, 1:] * moves[:, :-1]).mean() / moves.var()) == pytest.approx(
            0, abs=0.1
        )

    def test_stretch_changes_proportions(self) -> None:
        round_ones = shapes(stretch=0.0, **UPRIGHT, noise=0.0, points=500)
        stretched = shapes(stretch=0.5, **UPRIGHT, noise=0.0, points=500)
        assert max(map(_oblongness, round_ones.train)) < 0.05
        assert np.mean([*map(_oblongness, stretched.train)]) > 0.1

    def test_what_is_visible_is_cut_off_by_a_plane(self) -> None:
        options = {"classes": ("ellipsoid", "capsule"), "noise": 0.0, "stretch": 0.0}
        whole = _opening(shapes(visible=1.0, points=400, **options))
        part = _opening(shapes(visible=0.4, points=400, **options))
        assert whole < 0.35
        assert part > 0.6

    @pytest.mark.parametrize("rotation", ["none", "z"])
    def test_upright_objects_stay_upright(self, rotation: str) -> None:
        options = {"classes": ("cone", "pyramid"), "noise": 0.0, "stretch": 0.0, "visible": 1.0}
        for sample in shapes(rotation=rotation, points=200, **options).train:
            # The floor of a cone is flat: its points share the lowest height.
            height = sample.pos[:, 2]
            assert int((height < height.min() + 1e-4).sum()) > 40

    def test_objects_turn_about_all_axes(self) -> None:
        options = {"classes": ("band", "helix"), "noise": 0.0, "stretch": 0.0, "visible": 1.0}
        data = shapes(rotation="all", points=200, train_per_class=20, **options)
        axes = torch.stack([_thinnest(s.pos) for s in data.train if int(s.y) == 0])
        # Mean of vvᵀ over uniform directions is I/3.
        spread = torch.linalg.eigvalsh(axes.T @ axes / len(axes))
        assert float(spread.min()) > 0.1

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"points": 1}, "'points' must be int >= 2, got 1"),
            ({"noise": -0.1}, "'noise' must be 0 <= float <= 1, got -0.1"),
            ({"noise": float("nan")}, "'noise' must be 0 <= float <= 1, got nan"),
            ({"visible": 0.0}, "'visible' must be 0.1 <= float <= 1, got 0.0"),
            ({"visible": 1.1}, "'visible' must be 0.1 <= float <= 1, got 1.1"),
            ({"stretch": 3.0}, "'stretch' must be 0 <= float <= 2, got 3.0"),
            ({"train_per_class": 0}, "'train_per_class' must be int > 0, got 0"),
            ({"rotation": "y"}, "'rotation' must be .*, got 'y'; available: all, none, z"),
            ({"classes": ("box",)}, "at least two different ones"),
            ({"classes": ("box", "cone", "box")}, "at least two different ones"),
        ],
    )
    def test_values_out_of_range(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(ParameterError, match=message):
            shapes(**options)

    def test_unknown_class(self) -> None:
        with pytest.raises(UnknownNameError, match="no class 'torrus': did you mean 'torus'"):
            shapes(classes=("torrus", "band"))


def _opening(data: Shapes) -> float:
    """Largest hole of a cloud's directions from its middle, 1 − cos of its half angle, averaged."""
    holes = []
    probes = torch.nn.functional.normalize(torch.randn(500, 3, generator=_generator()), dim=1)
    for sample in data.train:
        middle = (sample.pos.amax(0) + sample.pos.amin(0)) / 2
        directions = torch.nn.functional.normalize(sample.pos - middle, dim=1)
        holes.append(1 - float((probes @ directions.T).amax(1).min()))
    return float(np.mean(holes))


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _thinnest(cloud: torch.Tensor) -> torch.Tensor:
    return torch.linalg.eigh(cloud.T.cov()).eigenvectors[:, 0]
