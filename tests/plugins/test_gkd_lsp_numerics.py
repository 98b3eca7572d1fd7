"""LSP: precision, range and memory, against float64."""

import lsp_reference
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import gkd
import gkd_lsp
from gkd import Graph, View
from gkd.functional import sparse
from gkd_lsp.lsp import LSP

KERNELS = {**lsp_reference.KERNEL_PARAMETERS, "rbf median": {"kernel": "rbf", "sigma": "median"}}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def host() -> gkd.Host:
    host = gkd.create_host(discover=False)
    host.register(gkd_lsp)
    return host


def loss_and_gradient(loss: LSP, student: Tensor, teacher: Tensor, graph: Graph):
    leaf = student.clone().requires_grad_()
    value = loss(View(features=leaf, graph=graph), View(features=teacher, graph=graph))
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def relative_error(result: Tensor, exact: Tensor) -> float:
    return ((result.double() - exact).norm() / exact.norm()).item()


def random_graph(num_nodes: int, num_edges: int, symmetric: bool = False) -> Graph:
    edges = torch.randint(num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(3))
    return Graph(torch.cat([edges, edges.flip(0)], dim=1) if symmetric else edges, num_nodes)


def clusters(num_nodes: int, width: int, offset: float, spread: float, seed: int = 0) -> Tensor:
    """Tight clusters far apart: node n lies around one of four centres of norm ``offset``."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(4, width, generator=generator)
    centres = offset * centres / centres.norm(dim=1, keepdim=True)
    noise = torch.randn(num_nodes, width, generator=generator) * spread / width**0.5
    return centres[torch.arange(num_nodes) % 4] + noise


def within_clusters(num_nodes: int) -> Graph:
    """Edges from every node to the next five of its cluster."""
    source = torch.arange(num_nodes).repeat(5)
    step = torch.arange(4, 21, 4).repeat_interleave(num_nodes)
    return Graph(torch.stack([source, (source + step) % num_nodes]), num_nodes)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_float32_gradients_agree_with_float64(host, kernel, symmetric):
    graph = random_graph(200, 1500, symmetric)
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(200, 16, generator=generator)
    teacher = torch.randn(200, 40, generator=generator)
    loss = host.create("loss", "lsp", **KERNELS[kernel])
    value, gradient = loss_and_gradient(loss, student, teacher, graph)
    exact, exact_gradient = loss_and_gradient(loss, student.double(), teacher.double(), graph)
    assert value.dtype == torch.float32
    assert gradient.dtype == torch.float32
    assert relative_error(value, exact) < 1e-4
    assert relative_error(gradient, exact_gradient) < 1e-4


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("offset", [1.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 1e3, 1e4])
def test_tight_clusters_far_apart_keep_their_gradients(host, kernel, offset):
    graph = within_clusters(80)
    student, teacher = clusters(80, 8, offset, 1.0), clusters(80, 12, offset, 1.0, seed=1)
    loss = host.create("loss", "lsp", **KERNELS[kernel])
    value, gradient = loss_and_gradient(loss, student, teacher, graph)
    exact, exact_gradient = loss_and_gradient(loss, student.double(), teacher.double(), graph)
    assert value.isfinite()
    assert relative_error(value, exact) < 1e-4
    # Linear and poly saturate: their exact gradients fall below what float32 can hold.
    error = (gradient.double() - exact_gradient).norm()
    # Twice what is measured where the norms are just small enough for float32.
    assert error <= 2e-4 * exact_gradient.norm() + 1e-37


@pytest.mark.parametrize("kernel", ["rbf", "l2"])
def test_a_common_offset_of_norm_1e4_leaves_distances_alone(host, kernel):
    # The reference is float64 on the very same float32 features, by an independent formula.
    graph = random_graph(40, 200)
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(40, 5, generator=generator) + 1e4
    teacher = torch.randn(40, 7, generator=generator) - 1e4
    value, gradient = loss_and_gradient(
        host.create("loss", "lsp", kernel=kernel), student, teacher, graph
    )
    leaf = student.double().requires_grad_()
    exact = lsp_reference.lsp(leaf, teacher, graph.edge_index, lsp_reference.SIMILARITIES[kernel])
    (exact_gradient,) = torch.autograd.grad(exact, leaf)
    assert relative_error(value, exact.detach()) < 1e-4
    assert relative_error(gradient, exact_gradient) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kernel", KERNELS)
def test_half_precision_features_are_compared_in_float32(host, dtype, kernel):
    graph = random_graph(30, 100)
    student, teacher = torch.randn(30, 8).to(dtype), torch.randn(30, 8).to(dtype)
    loss = host.create("loss", "lsp", **KERNELS[kernel])
    value, gradient = loss_and_gradient(loss, student, teacher, graph)
    exact, exact_gradient = loss_and_gradient(loss, student.double(), teacher.double(), graph)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    assert relative_error(value, exact) < 1e-4
    torch.testing.assert_close(gradient, exact_gradient.to(dtype), rtol=1e-2, atol=2e-6)


def test_large_float16_features_do_not_overflow(host):
    graph = random_graph(30, 100)
    student, teacher = (3e4 * torch.randn(2, 30, 8).clamp(-2, 2)).half()
    value, _ = loss_and_gradient(host.create("loss", "lsp", kernel="poly"), student, teacher, graph)
    assert value.isfinite()
    assert value > torch.finfo(torch.float16).max


@pytest.mark.parametrize("kernel", KERNELS)
def test_autocast_does_not_lower_the_precision(host, kernel):
    graph = random_graph(30, 100)
    student, teacher = torch.randn(30, 8), torch.randn(30, 8)
    loss = host.create("loss", "lsp", **KERNELS[kernel])
    expected, expected_gradient = loss_and_gradient(loss, student, teacher, graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = loss_and_gradient(loss, student, teacher, graph)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(gradient, expected_gradient)


@pytest.mark.parametrize("kernel", KERNELS)
def test_without_sparse_products_chunks_give_the_same(host, kernel, monkeypatch):
    graph = random_graph(60, 400)
    student, teacher = torch.randn(60, 8).double(), torch.randn(60, 8).double()
    loss = host.create("loss", "lsp", **KERNELS[kernel])
    value, gradient = loss_and_gradient(loss, student, teacher, graph)
    monkeypatch.setattr(sparse, "has_sparse_products", lambda device_type: False)
    monkeypatch.setattr(sparse, "_CHUNK_ELEMENTS", 100)
    chunked, chunked_gradient = loss_and_gradient(loss, student, teacher, graph)
    torch.testing.assert_close(chunked, value, rtol=1e-10, atol=0)
    torch.testing.assert_close(chunked_gradient, gradient, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("role", ["student", "teacher"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_nan_does_not_become_a_number(host, role, kernel):
    graph = random_graph(10, 60)
    features = {"student": torch.randn(10, 3), "teacher": torch.randn(10, 3)}
    features[role][int(graph.target[0])] = torch.nan
    loss = host.create("loss", "lsp", **KERNELS[kernel])
    result, _ = loss_and_gradient(loss, features["student"], features["teacher"], graph)
    assert result.isnan()


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements any operation produced."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                self.elements = max(self.elements, tensor.untyped_storage().nbytes() // 4)
        return result


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("build", ["sparse products", "chunks"])
def test_no_tensor_of_edges_times_width_is_ever_made(host, kernel, build, monkeypatch):
    if build == "chunks":
        monkeypatch.setattr(sparse, "has_sparse_products", lambda device_type: False)
    monkeypatch.setattr(sparse, "_CHUNK_ELEMENTS", 5_000)
    monkeypatch.setattr("gkd.functional.edge_l1_distances._CPU_ELEMENTS", 5_000)
    graph = random_graph(50, 2000)
    assert graph.num_edges > 1000
    student, teacher = 20 * torch.randn(50, 64), 20 * torch.randn(50, 128)
    graph.transpose, graph.row_pointer  # noqa: B018  # built once per graph, not per loss
    observer = LargestTensor()
    with observer:
        loss_and_gradient(host.create("loss", "lsp", **KERNELS[kernel]), student, teacher, graph)
    in_doubles = 2 * max(50 * 128, 5_000, 2 * graph.num_edges)
    assert 0 < observer.elements <= in_doubles
    assert in_doubles < graph.num_edges * 64 / 4


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("direction", ["student-teacher", "teacher-student"])
def test_gradcheck(host, kernel, direction):
    # A median bandwidth carries no gradient: the difference quotient must not move it.
    parameters = {**KERNELS[kernel], **({"sigma": 1.7} if "sigma" in KERNELS[kernel] else {})}
    loss = host.create("loss", "lsp", direction=direction, **parameters)
    graph = random_graph(6, 20)
    teacher = View(features=torch.randn(6, 4).double(), graph=graph)

    def value(student: Tensor) -> Tensor:
        return loss(View(features=student, graph=graph), teacher)

    assert torch.autograd.gradcheck(value, (torch.randn(6, 3).double().requires_grad_(),))
