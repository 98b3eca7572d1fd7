import itertools

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gkd_data.mesh import Mesh, sample_surface
from gkd_data.point_clouds import Clouds, augment_cloud, hold_out, unit_cloud
from gkd_data.random_by_purpose import random_state

seeds = st.integers(0, 2**32)
clouds_of_points = arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.just(3)),
    # Not all but one so near to one another that they are one, beside the size of the whole.
    elements=st.floats(-100, 100, width=32).map(lambda value: round(value, 3)),
).filter(lambda cloud: np.ptp(cloud, axis=0).max() > 1e-3)
vectors = arrays(np.float64, 3, elements=st.floats(-50, 50, width=32))


@st.composite
def labelled(draw: st.DrawFn) -> Clouds:
    sizes = draw(st.lists(st.integers(2, 30), min_size=1, max_size=5))
    labels = draw(st.permutations(np.repeat(np.arange(len(sizes)), sizes).tolist()))
    ids = tuple(f"object-{i}" for i in range(len(labels)))
    positions = tuple(np.full((1, 3), i, np.float32) for i in range(len(labels)))
    return Clouds(ids, positions, np.array(labels, dtype=np.int64))


@st.composite
def meshes(draw: st.DrawFn) -> Mesh:
    count = draw(st.integers(3, 6))
    coordinates = st.integers(-5, 5).map(float)
    vertices = draw(arrays(np.float64, (count, 3), elements=coordinates))
    corners = st.lists(st.integers(0, count - 1), min_size=3, max_size=3)
    triangles = np.array(draw(st.lists(corners, min_size=1, max_size=6)))
    mesh = Mesh(vertices, triangles)
    assume(mesh.areas().sum() > 0)
    return mesh


def held(clouds: Clouds, fraction: float, seed: int) -> tuple[Clouds, Clouds]:
    names = tuple(map(str, range(6)))
    return hold_out(clouds, fraction, names, "everyone", seed)


@given(labelled(), st.floats(0.01, 0.99), seeds)
def test_holding_out_keeps_every_object_once(clouds: Clouds, fraction: float, seed: int) -> None:
    rest, out = held(clouds, fraction, seed)
    assert sorted(rest.ids + out.ids) == sorted(clouds.ids)
    whole = dict(zip(clouds.ids, clouds.labels.tolist(), strict=True))
    for part in (rest, out):
        assert list(part.ids) == [id for id in clouds.ids if id in set(part.ids)]
        assert part.labels.tolist() == [whole[id] for id in part.ids]
        assert [f"object-{int(p[0, 0])}" for p in part.positions] == list(part.ids)


@given(labelled(), st.floats(0.01, 0.99), seeds)
def test_holding_out_takes_the_same_share_of_every_class(
    clouds: Clouds, fraction: float, seed: int
) -> None:
    rest, out = held(clouds, fraction, seed)
    stayed, taken = np.bincount(rest.labels), np.bincount(out.labels)
    assert stayed.min() >= 1
    assert taken.min() >= 1
    # To the nearest whole object, but for the one that has to be on either side.
    inexact = abs(taken - fraction * (stayed + taken)) > 0.5 + 1e-9
    assert not (inexact & (taken > 1) & (stayed > 1)).any()


@given(labelled(), st.floats(0.01, 0.99), seeds)
def test_what_is_held_out_of_a_class_does_not_depend_on_other_classes(
    clouds: Clouds, fraction: float, seed: int
) -> None:
    _, out = held(clouds, fraction, seed)
    last = clouds.labels == clouds.labels.max()
    _, alone = held(clouds.subset(last), fraction, seed)
    assert set(alone.ids) <= set(out.ids)


@given(clouds_of_points)
def test_unit_clouds_fill_the_unit_sphere(cloud: np.ndarray) -> None:
    unit = unit_cloud(cloud, 1, "cloud").astype(np.float64)
    np.testing.assert_allclose(unit.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1).max(), 1, rtol=1e-6)


@given(clouds_of_points, vectors, st.floats(0.1, 10))
def test_unit_clouds_ignore_place_and_size(
    cloud: np.ndarray, shift: np.ndarray, scale: float
) -> None:
    moved = unit_cloud(scale * cloud + shift, 1, "cloud")
    np.testing.assert_allclose(moved, unit_cloud(cloud, 1, "cloud"), atol=1e-5)


@given(clouds_of_points)
def test_unit_clouds_stay_as_they_are(cloud: np.ndarray) -> None:
    unit = unit_cloud(cloud, 1, "cloud")
    np.testing.assert_allclose(unit_cloud(unit, 1, "cloud"), unit, atol=1e-6)


@given(seeds, st.integers(3, 8), st.data())
def test_augmentation_scales_and_shifts_some_of_the_points(
    seed: int, size: int, data: st.DataObject
) -> None:
    # Distinct ratios of distances tell which points were taken, whatever scale and shift.
    cloud = np.random.default_rng(size).uniform(-1, 1, (size, 3)).astype(np.float32)
    points = data.draw(st.integers(3, size))
    made = augment_cloud(cloud, points, np.random.default_rng(seed))
    moved = made["pos"]
    assert moved.dtype == np.float32
    fits = []
    for chosen in itertools.permutations(range(size), 3):
        scale = (moved[1] - moved[0]) / (cloud[chosen[1]] - cloud[chosen[0]])
        shift = moved[0] - scale * cloud[chosen[0]]
        origins = abs(cloud * scale + shift - moved[:, None]).max(2).argmin(1)
        if np.allclose(cloud[origins] * scale + shift, moved, atol=1e-4):
            fits.append((origins, scale, shift))
    assert fits
    origins, scale, shift = fits[0]
    assert len(set(origins.tolist())) == points
    np.testing.assert_array_equal(cloud[origins], made["original"])
    assert np.all((scale > 2 / 3 - 1e-3) & (scale < 3 / 2 + 1e-3))
    assert np.all(abs(shift) < 0.2 + 1e-3)


@given(meshes(), st.integers(1, 20), seeds)
def test_surface_points_lie_in_a_triangle(mesh: Mesh, points: int, seed: int) -> None:
    drawn = sample_surface(mesh, points, np.random.default_rng(seed))
    corners = mesh.vertices[mesh.triangles[mesh.areas() > 0]]
    for point in drawn:
        assert any(_inside(triangle, point) for triangle in corners)


def _inside(triangle: np.ndarray, point: np.ndarray) -> bool:
    """Whether weights of the corners exist that are not negative, sum to 1 and give the point."""
    equations = np.vstack([triangle.T, np.ones(3)])
    weights = np.linalg.lstsq(equations, np.append(point, 1), rcond=None)[0]
    return bool(
        np.allclose(equations @ weights, np.append(point, 1), atol=1e-8) and weights.min() > -1e-8
    )


@given(seeds, st.lists(st.integers(0, 5) | st.text(max_size=3), max_size=3))
def test_random_states_differ_between_purposes(seed: int, purpose: list) -> None:
    def draw(*key: object) -> list[int]:
        return random_state(*key).integers(2**32, size=4).tolist()

    assert draw(seed, *purpose) == draw(seed, *purpose)
    assert draw(seed, *purpose) != draw(seed, *purpose, 0)
    assert draw(seed, *purpose) != draw(seed + 1, *purpose)
    assert draw(seed, "1") != draw(seed, 1)
