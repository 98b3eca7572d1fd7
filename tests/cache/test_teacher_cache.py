import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from distiller_problems import Network, Output, Recorder, Squared, batch_of, distiller_of
from torch import nn

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.errors import DataError, ParameterError

TAPS = {"student": "layers.0", "teacher": "layers.0"}
SIZES = {"a": 4, "b": 1, "c": 6, "d": 3}


class Counting(Network):
    """A network that counts its forward passes."""

    runs = 0

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        return super().forward(x)


def batch(names: str, sizes: dict[str, int] = SIZES) -> gkd.Batch:
    """Batch of samples that differ by their names."""
    return gkd.collate(
        [gkd.Sample(id=name, **vars(batch_of(sizes[name], seed=ord(name)))) for name in names]
    )


def cached(teacher=None, cache=None, *terms: gkd.Term, **options) -> gkd.Distiller:
    cache = cache or TeacherCache()
    terms = terms or (gkd.Term(Recorder(), **TAPS),)
    teacher = Counting(7) if teacher is None else teacher
    return distiller_of(teacher, Network(), *terms, teacher_cache=cache, **options)


def seen(distiller: gkd.Distiller, data: object) -> gkd.View:
    """What the first term sees of the teacher."""
    distiller(data)
    return next(iter(distiller.losses.values())).teacher


def test_known_samples_in_any_company_are_answered_from_memory() -> None:
    distiller = cached()
    teacher = distiller.teachers["teacher"]
    distiller(batch("abc"))
    distiller(batch("d"))
    runs = teacher.runs
    for names in ("ab", "dcba", "c"):
        data = batch(names)
        view = seen(distiller, data)
        torch.testing.assert_close(view.logits, teacher(data.x), rtol=0, atol=1e-6)
        torch.testing.assert_close(view.features, teacher.layers[0](data.x), rtol=0, atol=1e-6)
        runs += 1  # the call above
    # One more: the first answer to samples in other company is compared with the teacher.
    assert teacher.runs == runs + 1
    assert (distiller.teacher_cache.misses, distiller.teacher_cache.hits) == (2, 3)


def test_the_same_batch_is_answered_exactly() -> None:
    distiller, plain = cached(), batch("abcd")
    first, again = seen(distiller, plain), seen(distiller, plain)
    assert torch.equal(first.logits, again.logits)
    assert torch.equal(first.features, again.features)
    assert distiller.teachers["teacher"].runs == 1


def test_training_is_the_same_with_and_without() -> None:
    def trained(cache: TeacherCache | None) -> torch.Tensor:
        torch.manual_seed(0)
        teacher, student = Network(), Network()
        term = gkd.Term(Squared(), **TAPS)
        distiller = distiller_of(teacher, student, term, teacher_cache=cache)
        optimiser = torch.optim.SGD(distiller.parameters(), lr=0.1)
        for names in ("abc", "d", "bd", "ac", "dcb"):
            optimiser.zero_grad()
            distiller(batch(names)).total.backward()
            optimiser.step()
        return student.layers[0].weight

    torch.testing.assert_close(trained(TeacherCache()), trained(None), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda teacher: nn.init.ones_(teacher.layers[1].bias),
        lambda teacher: teacher.layers[1].bias.data.add_(1e-7),
        lambda teacher: teacher.norm.running_mean.add_(1.0),
        lambda teacher: setattr(teacher.layers[1], "bias", nn.Parameter(torch.ones(3))),
    ],
)
def test_a_changed_teacher_runs_again(change) -> None:
    distiller = cached()
    teacher = distiller.teachers["teacher"]
    distiller(batch("ab"))
    change(teacher)
    view = seen(distiller, batch("ab"))
    assert teacher.runs == 2
    assert torch.equal(view.logits, teacher(batch("ab").x))
    assert distiller.teacher_cache.num_samples == 2


def test_autocast_answers_are_its_own() -> None:
    distiller = cached()
    distiller(batch("ab"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert seen(distiller, batch("ab")).features.dtype == torch.bfloat16
    assert seen(distiller, batch("ab")).features.dtype == torch.float32


def test_a_sample_that_changed_its_size_is_an_error() -> None:
    distiller = cached()
    distiller(batch("ab"))
    message = r"sample 'b' has changed since .* \(it had 1 nodes and now has 2\)"
    with pytest.raises(DataError, match=message):
        distiller(batch("ab", {"a": 4, "b": 2}))


@pytest.mark.parametrize(
    "augment",
    [
        lambda data: data.x.add_(0.01 * torch.randn_like(data.x)),
        lambda data: data.x.copy_(data.x.flip(0)),
        lambda data: data.x.mul_(-1),
        lambda data: data.edge_index.copy_(data.edge_index.flip(0)),
    ],
)
def test_augmented_data_is_an_error(augment) -> None:
    distiller = cached(None, None, inputs={"student": ["x"], "teacher": ["x", "edge_index"]})
    distiller(batch("ac"))
    data = batch("ac")
    augment(data)
    with pytest.raises(DataError, match=r"sample '[ac]' has changed since .* augmented = True"):
        distiller(data)


class Weighted(Counting):
    """A network that edges may give weights to."""

    def forward(self, x: torch.Tensor, edge_weight: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(x if edge_weight is None else x * edge_weight.sum())


def weighted(names: str) -> gkd.Batch:
    parts = {name: vars(batch_of(SIZES[name], seed=ord(name))) for name in names}
    weights = {
        name: torch.full((part["edge_index"].shape[1],), 2.0) for name, part in parts.items()
    }
    samples = [gkd.Sample(id=n, edge_weight=weights[n], **part) for n, part in parts.items()]
    return gkd.collate(samples)


@pytest.mark.parametrize(("first", "then"), [(batch, weighted), (weighted, batch)])
def test_an_input_that_comes_or_goes_is_a_change(first, then) -> None:
    inputs = {"student": ["x"], "teacher": ["x", "edge_weight"]}
    distiller = cached(Weighted(7), None, inputs=inputs)
    distiller(first("ac"))
    with pytest.raises(DataError, match="sample 'a' has changed since"):
        distiller(then("a"))


def test_a_batch_that_is_handed_over_whole_may_hold_more() -> None:
    class Whole(Weighted):
        def forward(self, data: gkd.Batch) -> torch.Tensor:
            return super().forward(data.x, getattr(data, "edge_weight", None))

    distiller = cached(Whole(7), None, inputs={"student": ["x"], "teacher": "batch"})
    distiller(batch("ac"))
    view = seen(distiller, weighted("ac"))
    assert torch.equal(view.logits, distiller.teachers["teacher"](weighted("ac")))


def test_edges_belong_to_their_samples_in_any_company_and_order() -> None:
    inputs = {"student": ["x"], "teacher": ["x", "edge_index", "edge_weight", "batch"]}
    distiller = cached(None, None, inputs=inputs)
    for names in ("abc", "ca", "bd", "cba"):
        data = batch(names)
        weights = data.x[data.edge_index[1], 0]  # as many as there are nodes
        batch_like = SimpleNamespace(
            x=data.x, y=data.y, batch=data.batch, ptr=data.ptr, ids=data.ids,
            edge_index=data.edge_index.flip(1), edge_weight=weights.flip(0),
        )  # fmt: skip
        distiller(batch_like)
    assert distiller.teacher_cache.num_samples == 4
    assert distiller.teacher_cache.hits == 2


def test_a_teacher_that_mixes_samples_is_an_error() -> None:
    teacher = Output(lambda x: x - x.mean(dim=0))
    term = gkd.Term(Squared(), student="inner", teacher="inner")
    student = Output(lambda x: x)
    distiller = distiller_of(teacher, student, term, teacher_cache=TeacherCache())
    distiller(batch("ac"))
    distiller(batch("d"))
    with pytest.raises(ParameterError, match="of the teacher for a sample depend on the other"):
        distiller(batch("ad"))


def test_outputs_per_sample_and_dense_outputs() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Linear(5, 7), nn.Linear(7, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.inner(x.reshape(-1, 4, 5)).amax(dim=1))

    loss = Recorder()
    term = gkd.Term(loss, student="inner", teacher="inner")
    teacher, sizes = Pooled(), dict.fromkeys("abcd", 4)
    distiller = distiller_of(teacher, Pooled(), term, teacher_cache=TeacherCache())
    for names in ("abc", "d", "bd"):
        data = batch(names, sizes)
        labelled = SimpleNamespace(x=data.x, y=data.y[::4], ptr=data.ptr, ids=data.ids)
        distiller(labelled)
    assert distiller.teacher_cache.hits == 1
    torch.testing.assert_close(loss.teacher.logits, teacher(data.x), rtol=0, atol=1e-6)
    assert loss.teacher.batch.tolist() == [0] * 4 + [1] * 4


def test_tapped_graphs_are_kept_too() -> None:
    class Ring(Counting):
        def __init__(self) -> None:
            super().__init__(7)
            self.ring = Output(lambda edges: (edges.flip(0), None)).inner

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            self.ring(edge_index)
            return super().forward(x)

    loss = Recorder()
    term = gkd.Term(loss, teacher_graph="tap:ring", **TAPS)
    inputs = {"student": ["x"], "teacher": ["x", "edge_index"]}
    distiller = cached(Ring(), None, term, inputs=inputs)
    for names in ("abc", "d", "bda", "c"):
        data = batch(names)
        distiller(data)
        assert loss.teacher.graph == gkd.Graph(data.edge_index.flip(0), data.num_nodes)
    assert distiller.teacher_cache.hits == 2


def test_one_cache_serves_students_with_different_taps() -> None:
    teacher, cache = Counting(7), TeacherCache()
    first = cached(teacher, cache)
    second = cached(teacher, cache, gkd.Term(Recorder(), student="norm", teacher="norm"))
    for distiller in (first, second, first):
        assert torch.equal(seen(distiller, batch("ab")).logits, teacher(batch("ab").x))
    # The second needed another tap, so the teacher ran again; both taps are kept.
    assert (cache.num_samples, cache.misses, cache.hits) == (2, 2, 1)


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize(
    "other", [{"inputs": {"teacher": {"x": "x2"}}}, {"logits": {"teacher": "[1]"}}], ids=str
)
def test_one_cache_tells_what_a_teacher_is_called_with(tmp_path, in_files: bool, other) -> None:
    class Pair(Network):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = super().forward(x)
            return logits, -logits

    def made(**options) -> gkd.Distiller:
        options = {"inputs": {}, "logits": {"teacher": "[0]"}} | options
        options["inputs"] = {"student": ["x"], "teacher": ["x"]} | options["inputs"]
        files = TeacherCache(0, tmp_path) if in_files else cache
        return cached(teacher, files, gkd.Term(Recorder()), **options)

    teacher, cache, data = Pair(7), TeacherCache(), batch("ab")
    data = SimpleNamespace(x=data.x, x2=data.x + 1, y=data.y, ptr=data.ptr, ids=data.ids)
    first, second = made(), made(**other)
    for distiller in (first, second, first):
        (plain,) = (made(**options) for options in ([{}, other][distiller is second],))
        plain.teacher_cache = None
        assert torch.equal(seen(distiller, data).logits, seen(plain, data).logits)


def test_several_teachers_do_not_mix() -> None:
    teachers = {"tissue": Counting(4), "organ": Counting(7)}
    terms = [gkd.Term(Recorder(), teacher=f"{name}:layers.0", name=name) for name in teachers]
    distiller = cached(teachers, None, *terms)
    for _ in range(2):
        distiller(batch("ab"))
    assert distiller.losses["organ"].teacher.features.shape == (5, 7)
    assert distiller.losses["tissue"].teacher.features.shape == (5, 4)
    assert [teacher.runs for teacher in teachers.values()] == [1, 1]


def test_a_full_cache_keeps_what_it_has_and_says_so_once() -> None:
    per_node = 4 * (7 + 3)  # float32 features and logits
    cache = TeacherCache(limit_bytes=per_node * (SIZES["a"] + SIZES["b"]) + 1)
    distiller = cached(None, cache)
    with pytest.warns(UserWarning, match="full at 2 samples"):
        distiller(batch("abc"))
    distiller(batch("abc"))  # a second warning would be an error
    assert cache.num_bytes == per_node * 5
    expected = distiller.teachers["teacher"](batch("ab").x)
    torch.testing.assert_close(seen(distiller, batch("ab")).logits, expected, rtol=0, atol=1e-6)
    assert cache.hits == 1


def test_clear_frees_the_memory() -> None:
    distiller = cached()
    distiller(batch("ab"))
    assert distiller.teacher_cache.num_bytes > 0
    distiller.teacher_cache.clear()
    assert (distiller.teacher_cache.num_bytes, distiller.teacher_cache.num_samples) == (0, 0)


def test_what_is_kept_of_a_teacher_goes_with_it() -> None:
    cache, distiller = TeacherCache(), None
    distiller = cached(None, cache)
    distiller(batch("ab"))
    del distiller
    assert cache.num_samples == 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_a_copy_starts_empty(copied) -> None:
    distiller = cached()
    distiller(batch("ab"))
    twin = copied(distiller.teacher_cache)
    assert (twin.limit_bytes, twin.num_samples) == (distiller.teacher_cache.limit_bytes, 0)


@pytest.mark.parametrize("limit", [-2, -1, 1.5, True])
def test_the_limit_must_be_a_number_of_bytes(limit: object) -> None:
    with pytest.raises(ParameterError, match="'limit_bytes' must be int >= 0, got"):
        TeacherCache(limit)


def test_batches_need_ids() -> None:
    unnamed = SimpleNamespace(**vars(batch_of()), ptr=torch.tensor([0, 2, 6]))
    message = r"\(SimpleNamespace\) has 2 samples and 0 'ids'; name the samples or pass teacher_ca"
    with pytest.raises(ParameterError, match=message):
        cached()(unnamed)
    with pytest.raises(DataError, match=r"teacher cache: the batch .* has no 'ptr'.*\[0, N\] for"):
        cached()(batch_of())


def test_an_output_that_cannot_be_divided_is_an_error() -> None:
    teacher = Output(lambda x: x[:2])
    term = gkd.Term(Recorder(), student="inner", teacher="inner")
    distiller = distiller_of(teacher, Output(lambda x: x), term, teacher_cache=TeacherCache())
    with pytest.raises(ParameterError, match=r"tap 'inner' of shape \[2, 5\] has neither a row"):
        distiller(batch("abc"))


@pytest.mark.parametrize("value", [3.0, torch.zeros(2, 5)])
def test_an_input_that_cannot_be_divided_is_an_error(value: object) -> None:
    data = batch("abc")
    data = SimpleNamespace(x=data.x, y=data.y, ptr=data.ptr, ids=data.ids, scale=value)
    distiller = cached(None, None, inputs={"student": ["x"], "teacher": ["x", "scale"]})
    with pytest.raises(ParameterError, match="teacher cache: input 'scale'"):
        distiller(data)


def test_names_are_compared_as_often_as_there_are_samples() -> None:
    compared = 0

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

    def named(count: int = 200) -> gkd.Batch:
        drawn = batch_of(2, seed=0)
        return gkd.collate([gkd.Sample(id=Name(i), **vars(drawn)) for i in range(count)])

    distiller = cached()
    for _ in range(2):
        compared = 0
        distiller(named())
    assert 0 < compared < 10 * 200
