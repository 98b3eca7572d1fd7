"""Laws of the classic losses, over random problems."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gkd import View
from gkd_classic.attention_transfer import AttentionTransfer
from gkd_classic.fitnet import FitNet
from gkd_classic.kd import KD
from gkd_classic.nst import NST

KDS = {"kd": lambda t: KD(t), "kd multi-label": lambda t: KD(t, task="multi-label")}
MAPS = {
    "at": AttentionTransfer,
    "at p=1": lambda: AttentionTransfer(power=1.0),
    "at max": lambda: AttentionTransfer(pooling="max"),
    "at distance": lambda: AttentionTransfer(squared=False),
    "nst linear": lambda: NST("linear"),
    "nst poly": NST,
    "nst gaussian": lambda: NST("gaussian"),
    "nst gaussian sigma": lambda: NST("gaussian", sigma=0.5),
}
kinds_of_kd = pytest.mark.parametrize("make", KDS.values(), ids=KDS.keys())
kinds_of_map = pytest.mark.parametrize("make", MAPS.values(), ids=MAPS.keys())
temperatures = st.floats(0.5, 20)


@st.composite
def matrices(draw, num_nodes, width=None, dtype=torch.float64):
    """Random features, some entries exactly zero as after a rectifier."""
    width = draw(st.integers(1, 6)) if width is None else width
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    values = torch.randn(num_nodes, width, generator=generator, dtype=dtype)
    scale = draw(st.sampled_from([1e-3, 1.0, 1e4]))
    return (values.clamp_min(0) if draw(st.booleans()) else values) * scale


@st.composite
def pairs(draw, dtype=torch.float64):
    num_nodes = draw(st.integers(1, 12))
    return draw(matrices(num_nodes, dtype=dtype)), draw(matrices(num_nodes, dtype=dtype))


@st.composite
def logit_pairs(draw, dtype=torch.float64):
    num_nodes, classes = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    sides = (draw(matrices(num_nodes, classes, dtype)) for _ in range(2))
    return tuple(side.clamp(-50, 50) for side in sides)


def value(loss, student, teacher, batch=None):
    return loss(View(student, student, batch=batch), View(teacher, teacher, batch=batch)).item()


@kinds_of_kd
@given(temperature=temperatures, logits=logit_pairs(torch.float32))
def test_kd_is_zero_at_the_teacher_and_never_negative(make, temperature, logits):
    student, teacher = logits
    assert value(make(temperature), student, teacher) >= 0
    assert value(make(temperature), teacher.clone(), teacher) == 0


@pytest.mark.parametrize("make", [KDS["kd"], KDS["kd multi-label"], *MAPS.values()])
@given(teacher=matrices(8, 5, torch.float32), seed=st.integers(0, 2**32 - 1))
def test_rounding_near_the_teacher_gives_nothing_negative(make, teacher, seed):
    noise = torch.randn(teacher.shape, generator=torch.Generator().manual_seed(seed))
    loss = make(1.0) if make in KDS.values() else make()
    assert value(loss, teacher * (1 + 1e-6 * noise), teacher) >= 0


@kinds_of_kd
@given(temperature=temperatures, teacher=matrices(3, 2), where=st.integers(0, 5))
def test_kd_is_positive_away_from_the_teacher(make, temperature, teacher, where):
    teacher = teacher.clamp(-3, 3)
    student = teacher.clone()
    student.view(-1)[where] += 1
    assert value(make(temperature), student, teacher) > 0


@given(temperature=temperatures, logits=logit_pairs(), shift=st.floats(-100, 100))
def test_single_label_kd_ignores_a_constant_added_to_all_logits(temperature, logits, shift):
    student, teacher = logits
    assume(student.shape[1] > 1)  # a single column is a logit against 0
    expected = value(KD(temperature), student, teacher)
    assert value(KD(temperature), student + shift, teacher) == pytest.approx(expected, abs=1e-9)


@kinds_of_map
@given(pair=pairs(torch.float32))
def test_maps_are_zero_at_the_teacher_and_never_negative(make, pair):
    student, teacher = pair
    assert value(make(), student, teacher) >= 0
    assert value(make(), teacher.clone(), teacher) == pytest.approx(0, abs=1e-6)


@given(pair=pairs(), power=st.floats(1, 6))
def test_attention_distances_are_at_most_two(pair, power):
    assert value(AttentionTransfer(power), *pair) <= 2 + 1e-12


@kinds_of_map
@given(pair=pairs(), data=st.data())
def test_the_order_of_nodes_does_not_matter(make, pair, data):
    order = torch.tensor(data.draw(st.permutations(range(len(pair[0])))))
    expected = value(make(), *pair)
    permuted = value(make(), pair[0][order], pair[1][order])
    assert permuted == pytest.approx(expected, rel=1e-6, abs=1e-7)


@kinds_of_kd
@given(temperature=temperatures, logits=logit_pairs(), data=st.data())
def test_the_order_of_predictions_does_not_matter(make, temperature, logits, data):
    order = torch.tensor(data.draw(st.permutations(range(len(logits[0])))))
    expected = value(make(temperature), *logits)
    permuted = value(make(temperature), logits[0][order], logits[1][order])
    assert permuted == pytest.approx(expected, rel=1e-9)


@kinds_of_map
@given(pair=pairs(), data=st.data())
def test_the_order_of_channels_does_not_matter(make, pair, data):
    order = torch.tensor(data.draw(st.permutations(range(pair[0].shape[1]))))
    expected = value(make(), *pair)
    assert value(make(), pair[0][:, order], pair[1]) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("kernel", ["linear", "poly", "gaussian"])
@given(pair=pairs(), factor=st.floats(1e-3, 1e3))
def test_nst_ignores_the_scale_of_each_channel(kernel, pair, factor):
    student = pair[0].clone()
    student[:, 0] *= factor
    expected = value(NST(kernel), *pair)
    assert value(NST(kernel), student, pair[1]) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kernel", ["linear", "poly", "gaussian"])
@given(pair=pairs(), times=st.integers(1, 3))
def test_nst_compares_distributions_whatever_the_number_of_channels(kernel, pair, times):
    repeated = pair[0].repeat(1, times)
    assert value(NST(kernel), repeated, pair[0]) == pytest.approx(0, abs=1e-9)


@kinds_of_map
@given(samples=st.lists(pairs(), min_size=1, max_size=4), data=st.data())
def test_a_batch_is_the_mean_of_its_samples(make, samples, data):
    widths = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    samples = [
        tuple(data.draw(matrices(len(student), width)) for width in widths)
        for student, _ in samples
    ]
    expected = sum(value(make(), *sample) for sample in samples) / len(samples)
    sizes = torch.tensor([len(student) for student, _ in samples])
    batch = torch.arange(len(samples)).repeat_interleave(sizes)
    together = (torch.cat(side) for side in zip(*samples, strict=True))
    assert value(make(), *together, batch) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@given(pair=pairs(), normalise=st.booleans(), data=st.data())
def test_fitnet_is_non_negative_and_indifferent_to_the_order_of_nodes(pair, normalise, data):
    loss = FitNet(normalise=normalise)
    loss.build(*(View(features=side) for side in pair))
    order = torch.tensor(data.draw(st.permutations(range(len(pair[0])))))
    expected = value(loss, *pair)
    assert expected >= 0
    assert value(loss, pair[0][order], pair[1][order]) == pytest.approx(expected, rel=1e-9)


@given(student=matrices(5, 3))
def test_fitnet_is_zero_where_the_regressor_reaches_the_teacher(student):
    loss = FitNet()
    loss.build(View(features=student), View(features=torch.zeros(5, 4).double()))
    teacher = loss.regressor(student).detach()
    assert value(loss, student, teacher) == 0
