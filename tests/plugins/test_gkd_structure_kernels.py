"""Heat kernels against float64 references that loop over pairs, and how the learned one learns."""

import pytest
import torch
from torch import Tensor

import gkd
from gkd import Graph, ParameterError, Step, View
from gkd.functional import node_pairs
from gkd.testing.memory_watch import MemoryWatch

EDGES = torch.tensor([[0, 1, 1, 2, 0, 1, 2, 4], [1, 0, 2, 2, 3, 3, 3, 3]])
JOINED = set(map(tuple, EDGES.flip(0).T.tolist())) | {(i, i) for i in range(6)}


def features(*widths: int, nodes: int = 6, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(nodes, width, generator=random).double() for width in widths]


def problem(ours: int = 3, theirs: int = 4, nodes: int = 6) -> tuple[View, View]:
    graph = Graph(EDGES, nodes)
    return tuple(
        View(features=each.requires_grad_(), graph=graph)
        for each in features(ours, theirs, nodes=nodes)
    )


def layered(first: int = 3, width: int = 3, seed: int = 0) -> tuple[View, View]:
    graph = Graph(EDGES, 6)
    h, z, other_h, other_z = features(first, width, width, width, seed=seed)
    return (
        View(features=z.requires_grad_(), layers=(h.requires_grad_(), z), graph=graph),
        View(features=other_z, layers=(other_h, other_z), graph=graph),
    )


def standard(z: Tensor) -> Tensor:
    return (z - z.mean(0)) / z.std(0, correction=0)


def reference(kernel, s: Tensor, t: Tensor, delta: float) -> Tensor:
    total = 0
    for i in range(len(s)):
        for j in range(len(s)):
            gap = kernel(s[i], s[j]) - kernel(t[i], t[j])
            total = total + (1 if (i, j) in JOINED else delta) * gap * gap
    return total / len(s) ** 2


def require_equal(value: Tensor, expected: Tensor, leaf: Tensor) -> None:
    torch.testing.assert_close(value, expected)
    gradients = [torch.autograd.grad(v, leaf, retain_graph=True)[0] for v in (value, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("delta", [0.1, 1.0])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("numbers", [2**20, 13])
def test_the_heat_kernel_is_the_formula(delta, standardise, numbers, monkeypatch):
    monkeypatch.setattr(node_pairs, "_NUMBERS", numbers)
    student, teacher = problem()
    s, t = (
        standard(view.features) if standardise else view.features for view in (student, teacher)
    )
    options = {"delta": delta, "standardise": standardise}
    value = gkd.create("loss", "heat-kernel", **options)(student, teacher, step=Step.of(student))
    require_equal(
        value, reference(lambda x, y: (x @ y).tanh(), s, t.detach(), delta), student.features
    )
    loss = gkd.create("loss", "heat-kernel", kernel="gaussian", scale=2.0, **options)
    value = loss(student, teacher, step=Step.of(student))

    def gaussian(x, y):
        gap = x - y
        return (-gap.square().sum().sqrt() / 2).exp() if gap.any() else (gap.sum() / 2).exp()

    require_equal(value, reference(gaussian, s, t.detach(), delta), student.features)


def test_the_random_kernel_draws_with_the_step():
    student, teacher = problem(theirs=3)
    loss = gkd.create("loss", "heat-kernel", kernel="random", maps=2, expansion=3)
    values = [loss(student, teacher, step=Step.of(student, seed=seed)) for seed in (4, 4, 5)]
    assert values[0] == values[1] != values[2]
    random = torch.Generator().manual_seed(4)
    maps = torch.randn(2, 3, 9, generator=random, dtype=torch.float64)
    signs = torch.randn(2, generator=random, dtype=torch.float64)

    def kernel(x, y):
        return sum(e * (x @ w).tanh() @ (y @ w).tanh() for e, w in zip(signs, maps, strict=True))

    s, t = standard(student.features), standard(teacher.features).detach()
    require_equal(values[0], reference(kernel, s, t, 0.1), student.features)


@pytest.mark.parametrize("first", [3, 5])
def test_the_learned_kernel_is_the_formula(first):
    student, teacher = layered(first)
    loss = built(student, teacher)
    value = loss(student, teacher, step=Step.of(student))
    phi = loss.phi.detach()
    expected = reference(
        lambda x, y: (x @ phi).tanh() @ (y @ phi).tanh(), student.features, teacher.features, 0.1
    )
    require_equal(value, expected, student.features)
    assert set(loss.back) == ({"student"} if first == 5 else set())


def built(student: View, teacher: View, **options) -> gkd.AbstractLoss:
    torch.manual_seed(0)
    loss = gkd.create("loss", "learned-heat-kernel", **options)
    loss.build(student, teacher)
    return loss


def test_phi_learns_to_rebuild_the_first_layer_and_nothing_else():
    student, teacher = layered()
    loss = built(student, teacher)
    loss(student, teacher, step=Step.of(student)).backward()
    phi = loss.phi.detach().clone().requires_grad_()
    total = 0
    for view in (student, teacher):
        h, z = (layer.detach() for layer in view.layers)
        kernel = (z @ phi).tanh() @ (z @ phi).tanh().T
        total = total + (standard(kernel @ z) - standard(h)).square().mean()
    torch.testing.assert_close(loss.phi.grad, torch.autograd.grad(total, phi)[0])
    assert student.layers[0].grad is None
    assert teacher.features.grad is None


@pytest.mark.parametrize("name", ["heat-kernel", "learned-heat-kernel"])
def test_nodes_are_drawn_with_their_edges(name):
    student, teacher = layered()
    loss = gkd.create("loss", name, samples=4, **({"standardise": False} if name < "l" else {}))
    loss.build(student, teacher)
    value = loss(student, teacher, step=Step.of(student, seed=3))
    rows = torch.randperm(6, generator=torch.Generator().manual_seed(3))[:4].sort().values
    part = loss(student.rows(rows), teacher.rows(rows), step=Step.of(student.rows(rows)))
    torch.testing.assert_close(value, part)


def test_memory_does_not_grow_with_pairs(monkeypatch):
    monkeypatch.setattr(node_pairs, "_NUMBERS", 2**11)
    student, teacher = problem(4, 4, nodes=200)
    with MemoryWatch() as watch:
        gkd.create("loss", "heat-kernel")(student, teacher, step=Step.of(student)).backward()
    assert watch.elements <= 2**11  # of 40,000 pairs


def test_what_is_missing_or_does_not_fit_is_said():
    student, teacher = problem()
    loss, step = gkd.create("loss", "heat-kernel"), Step.of(student)
    with pytest.raises(ParameterError, match="heat-kernel compares edges"):
        loss(View(features=student.features), teacher, step=step)
    with pytest.raises(ParameterError, match=r"heat-kernel: Graph.* is not over the 6 nodes"):
        loss(View(features=student.features, graph=Graph(EDGES, 7)), teacher, step=step)
    with pytest.raises(ParameterError, match="features of one width, got 3 from the student and 4"):
        gkd.create("loss", "heat-kernel", kernel="random")(student, teacher, step=step)
    student, teacher = layered()
    with pytest.raises(ParameterError, match="Φ does not exist yet; call build"):
        gkd.create("loss", "learned-heat-kernel")(student, teacher, step=step)
    with pytest.raises(ParameterError, match="width 3, got 4 from the student and 4"):
        built(student, teacher)(*layered(width=4), step=step)
    with pytest.raises(ParameterError, match="compares several layers"):
        built(student, teacher)(View(features=student.features), teacher, step=step)
