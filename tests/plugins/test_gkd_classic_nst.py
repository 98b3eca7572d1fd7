"""NST against plain double sums over channels."""

import math

import pytest
import torch

from gkd import View
from gkd_classic.nst import NST


def columns(features):
    for column in features.T.tolist():
        norm = math.sqrt(sum(value**2 for value in column))
        yield [value / norm if norm else 0.0 for value in column]


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def distance(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def mean(kernel, xs, ys):
    return sum(kernel(x, y) for x in xs for y in ys) / (len(xs) * len(ys))


def plain_discrepancy(kernel_from, student, teacher):
    ours, theirs = list(columns(student)), list(columns(teacher))
    kernel = kernel_from([*ours, *theirs])
    return mean(kernel, ours, ours) + mean(kernel, theirs, theirs) - 2 * mean(kernel, ours, theirs)


def gaussian_of_the_mean_distance(channels):
    variance = mean(distance, channels, channels)
    return lambda x, y: math.exp(-distance(x, y) / (2 * variance))


KERNELS = {
    "linear": ({"kernel": "linear"}, lambda _: dot),
    "poly": ({"kernel": "poly"}, lambda _: lambda x, y: dot(x, y) ** 2),
    "poly 3": (
        {"kernel": "poly", "degree": 3, "offset": 0.5},
        lambda _: lambda x, y: (dot(x, y) + 0.5) ** 3,
    ),
    "gaussian": (
        {"kernel": "gaussian", "sigma": 0.7},
        lambda _: lambda x, y: math.exp(-distance(x, y) / (2 * 0.7**2)),
    ),
    "gaussian mean": ({"kernel": "gaussian", "sigma": "mean"}, gaussian_of_the_mean_distance),
}


@pytest.mark.parametrize(("parameters", "kernel_from"), KERNELS.values(), ids=KERNELS.keys())
@pytest.mark.parametrize("sizes", [[8], [1, 5, 2]])
def test_the_value_is_the_discrepancy_of_the_two_sets_of_channels(parameters, kernel_from, sizes):
    torch.manual_seed(0)
    student = torch.randn(8, 3, dtype=torch.float64)
    teacher = torch.randn(8, 5, dtype=torch.float64)
    teacher[:, 1] = 0
    batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    pairs = zip(student.split(sizes), teacher.split(sizes), strict=True)
    expected = [plain_discrepancy(kernel_from, *pair) for pair in pairs]
    value = NST(**parameters)(View(features=student, batch=batch), View(features=teacher))
    assert value.item() == pytest.approx(sum(expected) / len(sizes), rel=1e-9, abs=1e-12)


def test_the_defaults_are_those_of_the_paper():
    torch.manual_seed(0)
    student, teacher = View(features=torch.randn(6, 3)), View(features=torch.randn(6, 4))
    assert NST()(student, teacher) == NST("poly", degree=2, offset=0)(student, teacher)
    assert NST("gaussian")(student, teacher) == NST("gaussian", sigma="mean")(student, teacher)


def test_the_squared_polynomial_kernel_compares_gram_matrices_over_nodes():
    torch.manual_seed(0)
    student, teacher = torch.randn(6, 3).double(), torch.randn(6, 5).double()
    unit = [torch.nn.functional.normalize(features, dim=0) for features in (student, teacher)]
    grams = [channels @ channels.T / channels.shape[1] for channels in unit]
    expected = (grams[0] - grams[1]).square().sum()
    torch.testing.assert_close(NST()(View(features=student), View(features=teacher)), expected)


def test_a_bandwidth_from_the_data_is_a_constant_to_the_gradient():
    torch.manual_seed(0)
    student = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(6, 4, dtype=torch.float64)
    channels = [*columns(student.detach()), *columns(teacher)]
    gradients = [
        torch.autograd.grad(loss(View(features=student), View(features=teacher)), student)[0]
        for loss in (
            NST("gaussian", sigma="mean"),
            NST("gaussian", sigma=math.sqrt(mean(distance, channels, channels))),
        )
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("sigma", ["mean", 0.01])
def test_equal_channels_are_no_yardstick(sigma):
    torch.manual_seed(0)
    column = torch.rand(50, 1)
    student = column.expand(50, 7).clone().requires_grad_()
    value = NST("gaussian", sigma=sigma)(View(features=student), View(features=3 * column))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-2)
    assert student.grad.isfinite().all()


def test_single_precision_agrees_with_double_in_the_gradient():
    torch.manual_seed(0)
    teacher = torch.randn(300, 40, dtype=torch.float64)
    student = torch.randn(300, 10, dtype=torch.float64)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        ours = student.to(dtype).requires_grad_()
        loss = NST()(View(features=ours), View(features=teacher.to(dtype)))
        gradients.append(torch.autograd.grad(loss, ours)[0].double())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("kernel", ["linear", "poly", "gaussian"])
def test_a_channel_of_zeros_gets_no_exploding_gradient(kernel):
    torch.manual_seed(0)
    student, teacher = torch.randn(4, 3), torch.randn(4, 2)
    student[:, 1] = 0
    student.requires_grad_()
    NST(kernel)(View(features=student), View(features=teacher)).backward()
    assert student.grad.isfinite().all()
    assert student.grad.abs().max() < 10


@pytest.mark.parametrize("kernel", ["poly", "gaussian"])
def test_near_the_teacher_the_gradient_is_not_lost_to_rounding(kernel):
    loss = NST(kernel, sigma=0.5) if kernel == "gaussian" else NST(kernel)
    for seed in range(5):  # by chance the value rounds to below 0
        torch.manual_seed(seed)
        teacher = torch.randn(100, 6)
        student = teacher + 1e-4 * torch.randn(100, 6)
        ours, double = student.clone().requires_grad_(), student.double().requires_grad_()
        value = loss(View(features=ours), View(features=teacher))
        value.backward()
        assert value >= 0
        loss(View(features=double), View(features=teacher.double())).backward()
        assert (ours.grad - double.grad).norm() < 0.01 * double.grad.norm()
