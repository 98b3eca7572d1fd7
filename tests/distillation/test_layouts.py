"""Tapped tensors of three and four axes: read by evidence or by what a term says, never guessed."""

import contextlib
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
import torch
from distiller_problems import Output, Recorder, batch_of, distiller_of
from hypothesis import given
from lsp_reference import SIMILARITIES, lsp
from torch import Tensor, nn

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.data.batch_nodes import BatchNodes
from gkd.distillation.layout import Layout
from gkd.distillation.tapped_rows import tapped_rows
from gkd.errors import DataError, ParameterError, TapError

SIZES = {"B": 2, "N": 3, "F": 5, "C": 5, "H": 4, "W": 7}


def flat(samples: list[int], **more: object) -> SimpleNamespace:
    """A batch that names its nodes and samples."""
    sizes = torch.tensor(samples)
    ptr = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)])
    vector = torch.arange(len(samples)).repeat_interleave(sizes)
    return SimpleNamespace(x=torch.randn(int(sizes.sum()), 5), batch=vector, ptr=ptr, **more)


def read(features: Tensor, batch: object, layout: object = None) -> tuple[Tensor, Tensor | None]:
    said = None if layout is None else Layout.parse(layout)
    return tapped_rows(features, BatchNodes(batch), said, "network: tap 'inner'")


class TestSaid:
    """What a term says of the axes."""

    @pytest.mark.parametrize(
        ("form", "subscripts", "rows"),
        [
            ("N H F", "nhf->nhf", 1),
            ("H N F", "hnf->nhf", 1),
            ("B N F", "bnf->bnf", 2),
            ("B C N", "bcn->bnc", 2),
            ("B N H F", "bnhf->bnhf", 2),
            ("B H N F", "bhnf->bnhf", 2),
            ("B C H W", "bchw->bhwc", 3),
            ("B H W C", "bhwc->bhwc", 3),
        ],
    )
    def test_every_form(self, form: str, subscripts: str, rows: int) -> None:
        features = torch.randn([SIZES[axis] for axis in form.split()])
        expected = torch.einsum(subscripts, features).flatten(0, rows - 1).flatten(1)
        found, samples = read(features, SimpleNamespace(), form)
        assert torch.equal(found, expected)
        if form.startswith("B"):
            assert samples.tolist() == [0] * (len(expected) // 2) + [1] * (len(expected) // 2)
        else:
            assert samples is None

    def test_convolutions_of_one_column_are_channels_first(self) -> None:
        features = torch.randn(2, 5, 7, 1)
        wide, _ = read(features, SimpleNamespace(), "B C H W")
        narrow, _ = read(features[..., 0], SimpleNamespace(), "B C N")
        assert torch.equal(wide, narrow)

    @pytest.mark.parametrize("form", ["B N F", "B C N", "B N H F", "B H N F"])
    def test_a_mask_leaves_padding_out(self, form: str) -> None:
        mask = torch.tensor([[True, True, False], [True, False, False]])
        features = torch.randn([SIZES[axis] for axis in form.split()])
        rows, samples = read(features, flat([2, 1], mask=mask), {"form": form, "mask": "mask"})
        whole, _ = read(features, SimpleNamespace(), form)
        assert torch.equal(rows, whole[[0, 1, 3]])
        assert samples.tolist() == [0, 0, 1]

    @pytest.mark.parametrize(
        "mask", [torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 3), torch.ones(6).bool()]
    )
    def test_a_mask_must_fit(self, mask: Tensor) -> None:
        layout = {"form": "B N F", "mask": "mask"}
        with pytest.raises(DataError, match=r"must be boolean \[2, 3\], but batch.mask is"):
            read(torch.randn(2, 3, 5), flat([2, 1], mask=mask), layout)
        with pytest.raises(DataError, match="has no 'mask'"):
            read(torch.randn(2, 3, 5), flat([2, 1]), layout)

    def test_another_number_of_axes_is_an_error(self) -> None:
        with pytest.raises(TapError, match=r"\[6, 5\], which has not the 3 axes of its layout"):
            read(torch.randn(6, 5), batch_of(), "N H F")

    @pytest.mark.parametrize(
        ("layout", "message"),
        [
            ("B F N", "there is no 'B F N'; did you mean 'B C N'"),
            (["B", "N"], "expected the axes of the tapped tensor"),
            ({"mask": "mask"}, "expected the axes"),
            ({"form": "B N F", "pad": "mask"}, "expected the axes"),
            ({"form": "N H F", "mask": "mask"}, "a mask is of nodes of samples"),
        ],
    )
    def test_what_is_no_layout(self, layout: object, message: str) -> None:
        for key in ("layout", "student_layout", "teacher_layout"):
            with pytest.raises(ParameterError, match=message):
                gkd.Term("kd", student="a", teacher="b", **{key: layout})

    @pytest.mark.parametrize("key", ["layout", "student_layout", "teacher_layout"])
    def test_a_layout_without_a_tap_is_an_error(self, key: str) -> None:
        taps = {"student_layout": {"teacher": "inner"}, "teacher_layout": {"student": "inner"}}
        with pytest.raises(ParameterError, match=f"'recorder': {key}='N H F' is of a tapped tens"):
            gkd.Term(Recorder(), **{key: "N H F"}, **taps.get(key, {}))

    def test_a_layout_of_both_serves_one_that_is_tapped(self) -> None:
        loss = Recorder()
        term = gkd.Term(loss, student="inner", layout="N H F")
        student = Output(lambda x: x.unsqueeze(1))
        distiller_of(Output(lambda x: x), student, term)(batch_of())
        torch.testing.assert_close(loss.student.features, batch_of().x)

    def test_each_network_has_its_own(self) -> None:
        loss = Recorder()
        term = gkd.Term(
            loss, student="inner", teacher="inner", layout="N H F", teacher_layout="H N F"
        )
        student = Output(lambda x: x.unsqueeze(1).repeat(1, 2, 1))
        teacher = Output(lambda x: x.repeat(2, 1, 1))
        batch = batch_of()
        distiller_of(teacher, student, term)(batch)
        expected = torch.cat([batch.x, batch.x], 1)
        torch.testing.assert_close(loss.student.features, expected)
        torch.testing.assert_close(loss.teacher.features, expected)


class TestEvidence:
    """What the batch says of the axes."""

    @given(data=st.data())
    def test_a_reading_is_that_of_its_layout_or_refused(self, data: st.DataObject) -> None:
        """Whatever coincides, a tensor is read by its own layout, or not at all."""
        form = data.draw(st.sampled_from(["N H F", "B N F", "B C N", "B H N F", "B C H W"]))
        small, features = st.integers(1, 4), st.integers(2, 4)
        samples, each = data.draw(small), data.draw(small)
        sizes = {axis: data.draw(features if axis in "FC" else small) for axis in "HFCW"}
        if form == "B C H W":
            each = sizes["H"] * sizes["W"]
        nodes = samples * each
        sizes |= {"B": samples, "N": nodes if form == "N H F" else each}
        tensor = torch.randn([sizes[axis] for axis in form.split()])
        batch = flat([each] * samples)
        with contextlib.suppress(TapError):
            rows, vector = read(tensor, batch)
            assert torch.equal(rows, read(tensor, SimpleNamespace(), form)[0])
            assert torch.equal(vector, batch.batch)

    @pytest.mark.parametrize(
        ("shape", "form"),
        [
            ((12, 2, 8), "N H F"),
            ((12, 1, 8), "N H F"),
            ((3, 4, 8), "B N F"),
            ((3, 8, 4), "B C N"),
            ((2, 12, 8), "H N F"),
            ((3, 2, 4, 8), "B H N F"),
            ((3, 4, 2, 8), "B N H F"),
            ((3, 8, 2, 2), "B C H W"),
            ((3, 8, 4, 1), "B C H W"),
        ],
    )
    def test_one_reading_is_taken(self, shape: tuple[int, ...], form: str) -> None:
        batch, features = flat([4, 4, 4]), torch.randn(shape)
        rows, samples = read(features, batch)
        assert torch.equal(rows, read(features, batch, form)[0])
        assert samples.tolist() == batch.batch.tolist()

    @pytest.mark.parametrize(
        ("shape", "said"),
        [
            ((3, 4, 4), "may be 'B N F' or 'B C N'"),
            ((3, 5, 8), "may be none of the layouts"),
            ((3, 4, 1), "may be none of the layouts"),  # channels that pooling left
            ((4, 3, 8), "may be none of the layouts"),  # another number of samples
            ((3, 8, 5, 2), "may be none of the layouts"),
        ],
    )
    def test_several_or_none_are_refused(self, shape: tuple[int, ...], said: str) -> None:
        with pytest.raises(
            TapError, match=rf"for a batch of 12 nodes in 3 samples {said}.*; say what"
        ):
            read(torch.randn(shape), flat([4, 4, 4]))

    def test_samples_of_other_sizes_are_no_evidence(self) -> None:
        with pytest.raises(TapError, match="may be none of the layouts"):
            read(torch.randn(2, 6, 5), flat([4, 8]))  # six clusters of each sample

    def test_padding_is_recognised_by_its_mask(self) -> None:
        mask = torch.tensor([[True, True, False], [True, True, True]])
        features = torch.randn(2, 3, 7)
        rows, samples = read(features, flat([2, 3], mask=mask))
        assert torch.equal(rows, features[mask])
        assert samples.tolist() == [0, 0, 1, 1, 1]
        with pytest.raises(TapError, match="'B N F of mask' or 'B N F of valid'"):
            read(features, flat([2, 3], mask=mask, valid=mask.clone()))

    def test_positions_say_where_the_points_of_a_dense_batch_are(self) -> None:
        first = SimpleNamespace(pos=torch.randn(2, 3, 16))
        last = SimpleNamespace(pos=torch.randn(2, 16, 3))
        wide, long = torch.randn(2, 16, 8), torch.randn(2, 8, 16)
        for batch in (first, last):
            assert torch.equal(read(wide, batch)[0], wide.flatten(0, 1))
            assert torch.equal(read(long, batch)[0], long.transpose(1, 2).flatten(0, 1))
            with pytest.raises(TapError, match="'B N F' or 'B C N'"):
                read(torch.randn(2, 16, 16), batch)
            with pytest.raises(TapError, match="may be none of the layouts"):
                read(torch.randn(2, 16, 1), batch)

    def test_a_dense_batch_may_have_samples_of_its_own(self) -> None:
        """Samples of shape ``[1, N, F]`` are counted as one node each."""
        batch = gkd.collate([gkd.Sample(id=str(i), x=torch.randn(1, 6, 5)) for i in range(3)])
        rows, samples = read(features := torch.randn(3, 6, 7), batch)
        assert torch.equal(rows, features.flatten(0, 1))
        assert samples.tolist() == [0] * 6 + [1] * 6 + [2] * 6
        with pytest.raises(TapError, match="'B N F' or 'B C N'"):
            read(torch.randn(3, 6, 5), batch)

    def test_a_mask_of_a_dense_batch_must_be_said(self) -> None:
        batch = SimpleNamespace(x=torch.randn(2, 3, 5), mask=torch.ones(2, 3, dtype=torch.bool))
        with pytest.raises(TapError, match="'B N F' or 'B N F of mask'"):
            read(torch.randn(2, 3, 7), batch)

    def test_series_of_nodes_are_no_samples(self) -> None:
        """``x`` of shape ``[N, steps, F]``, where the batch vector says that rows are nodes."""
        batch = flat([4, 8])
        batch.x = torch.randn(12, 6, 5)
        features = torch.randn(12, 2, 3)
        assert torch.equal(read(features, batch)[0], features.flatten(1))


class HeadsApart(nn.Module):
    """Attention whose heads stay apart, ``[N, heads, F]``."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.lin = nn.Linear(5, heads * width)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        h = self.lin(x).view(len(x), self.heads, self.width)
        return torch.zeros_like(h).index_add(0, edge_index[1], h[edge_index[0]]) + h


class HeadedNetwork(nn.Module):
    """One such layer, and a classifier."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.attention = HeadsApart(heads, width)
        self.head = nn.Linear(heads * width, 3)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.head(self.attention(x, edge_index).flatten(1).relu())


def test_what_one_batch_tells_serves_where_sizes_coincide_in_another() -> None:
    loss = Recorder()
    student = Output(lambda x: x.view(2, -1, 5).transpose(1, 2))  # channels first
    distiller = distiller_of(Output(lambda x: x), student, gkd.Term(loss, student="inner"))
    batches = [flat([size, size], y=torch.zeros(2 * size).long()) for size in (3, 5)]
    with pytest.raises(TapError, match="'B N F' or 'B C N'"):
        distiller(batches[1])
    for batch in batches:
        distiller(batch)
        torch.testing.assert_close(loss.student.features, batch.x)
    with pytest.raises(TapError, match="may be no 'B C N', which it was before"):
        distiller(flat([6], y=torch.zeros(6).long()))


class TestHeads:
    """Terms between layers that keep their heads apart."""

    @pytest.fixture
    def problem(self) -> tuple[SimpleNamespace, HeadedNetwork, HeadedNetwork]:
        random = torch.Generator().manual_seed(0)
        edges = (torch.rand(10, 10, generator=random) < 0.2).nonzero().T.contiguous()
        torch.manual_seed(0)
        batch = SimpleNamespace(x=torch.randn(10, 5), edge_index=edges, y=torch.randint(3, (10,)))
        return batch, HeadedNetwork(2, 8), HeadedNetwork(2, 4)

    @pytest.mark.parametrize(("loss", "value"), [("at", 0.0355), ("nst", 0.112), ("lsp", None)])
    @pytest.mark.parametrize("layout", [None, "N H F"])
    @pytest.mark.parametrize("cached", [False, True])
    def test_a_term_compares_nodes(self, problem, loss: str, value, layout, cached: bool) -> None:
        batch, teacher, student = problem
        if cached:
            batch.ptr, batch.ids = torch.tensor([0, 10]), ("a",)
        edges = batch.edge_index
        ours, theirs = (n.attention(batch.x, edges).detach().flatten(1) for n in (student, teacher))
        if loss == "lsp":
            expected = lsp(ours.double(), theirs.double(), edges, SIMILARITIES["rbf"])
        else:
            views = {"student": gkd.View(features=ours), "teacher": gkd.View(features=theirs)}
            expected = gkd.create("loss", loss)(**views)
            assert expected.item() == pytest.approx(value, rel=5e-3)
        distiller = distiller_of(
            teacher,
            student,
            gkd.Term(loss, student="attention", teacher="attention", layout=layout),
            inputs=("x", "edge_index"),
            teacher_cache=TeacherCache() if cached else None,
        )
        for _ in range(2):
            assert distiller(batch).terms[loss].item() == pytest.approx(expected.item(), rel=1e-5)

    def test_samples_get_back_their_own_nodes_from_the_cache(self, problem) -> None:
        _, teacher, student = problem
        ring = torch.stack([torch.arange(4), torch.arange(4).roll(1)])
        samples = [
            gkd.Sample(id=str(i), x=torch.randn(4, 5), edge_index=ring, y=torch.zeros(4).long())
            for i in range(4)
        ]
        loss = Recorder()
        distiller = distiller_of(
            teacher,
            student,
            gkd.Term(loss, student="attention", teacher="attention"),
            inputs=("x", "edge_index"),
            teacher_cache=TeacherCache(),
        )
        for chosen in ([0, 1], [2, 3], [3, 0, 2]):
            batch = gkd.collate([samples[i] for i in chosen])
            distiller(batch)
            apart = teacher.attention(batch.x, batch.edge_index)
            torch.testing.assert_close(loss.teacher.features, apart.flatten(1))
        assert distiller.teacher_cache.hits == 1

    def test_heads_first_cannot_be_kept_per_sample(self, problem) -> None:
        batch, *_ = problem
        batch.ptr, batch.ids = torch.tensor([0, 10]), ("a",)
        first = Output(lambda x: x.repeat(2, 1, 1))
        term = gkd.Term(Recorder(), student="inner", teacher="inner", layout="H N F")
        distiller = distiller_of(first, Output(lambda x: x.repeat(2, 1, 1)), term)
        distiller(batch)
        distiller = distiller_of(
            first, Output(lambda x: x.repeat(2, 1, 1)), term, teacher_cache=TeacherCache()
        )
        with pytest.raises(ParameterError, match="teacher: tap 'inner' of the layout H N F cannot"):
            distiller(batch)


class Points(nn.Module):
    """Convolutions over points that keep them last, ``[B, C, N]``."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(3, width, 1), nn.Conv1d(width, embedding, 1)
        self.head = nn.Linear(embedding, 4)

    def forward(self, pos: Tensor) -> Tensor:
        return self.head(self.second(self.first(pos).relu()).amax(2))


class TestChannelsFirst:
    """Terms between convolutions over points."""

    @pytest.fixture
    def problem(self) -> tuple[SimpleNamespace, Points, Points]:
        torch.manual_seed(0)
        batch = SimpleNamespace(pos=torch.randn(2, 3, 16), y=torch.tensor([0, 3]))
        return batch, Points(32, 16), Points(8, 16)

    @pytest.mark.parametrize(("loss", "value"), [("lsp", 0.0101), ("at", 0.276)])
    def test_a_term_compares_points(self, problem, loss: str, value: float) -> None:
        batch, teacher, student = problem
        ours, theirs = (
            n.second(n.first(batch.pos).relu()).transpose(1, 2).flatten(0, 1).detach()
            for n in (student, teacher)
        )
        vector = torch.arange(2).repeat_interleave(16)
        if loss == "lsp":
            knn = gkd.create("graph", "knn", k=4)
            edges = knn(ours, vector).union(knn(theirs, vector)).edge_index
            expected = lsp(ours.double(), theirs.double(), edges, SIMILARITIES["rbf"])
        else:
            expected = gkd.create("loss", loss)(
                student=gkd.View(features=ours, batch=vector),
                teacher=gkd.View(features=theirs, batch=vector),
            )
        graph = {"name": "knn", "k": 4} if loss == "lsp" else None
        taps = {"student": "second", "teacher": "second", "graph": graph}
        told = gkd.Term(loss, layout="B C N", **taps)
        found = distiller_of(teacher, student, told, inputs=["pos"])(batch).terms[loss].item()
        assert found == pytest.approx(expected.item(), rel=1e-5)
        assert found == pytest.approx(value, rel=5e-3)
        with pytest.raises(TapError, match=f"^term '{loss}': teacher: tap 'second'.*'B C N'; say"):
            distiller_of(teacher, student, gkd.Term(loss, **taps), inputs=["pos"])(batch)

    def test_more_channels_than_points_are_recognised(self, problem) -> None:
        batch, _, student = problem
        teacher, loss = Points(24, 16), Recorder()
        term = gkd.Term(loss, student="first", teacher="first")
        distiller_of(teacher, student, term, inputs=["pos"])(batch)
        expected = teacher.first(batch.pos).transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(loss.teacher.features, expected)

    def test_points_get_back_their_own_rows_from_the_cache(self, problem) -> None:
        _, teacher, student = problem
        samples = [
            gkd.Sample(id=str(i), pos=torch.randn(1, 3, 16), y=torch.tensor([i])) for i in range(4)
        ]
        loss = Recorder()
        term = gkd.Term(loss, student="second", teacher="second", layout="B C N")
        distiller = distiller_of(
            teacher, student, term, inputs=["pos"], teacher_cache=TeacherCache()
        )
        for chosen in ([0, 1], [2, 3], [3, 0, 2]):
            batch = gkd.collate([samples[i] for i in chosen])
            distiller(batch)
            rows = teacher.second(teacher.first(batch.pos).relu()).transpose(1, 2).flatten(0, 1)
            torch.testing.assert_close(loss.teacher.features, rows)
        assert distiller.teacher_cache.hits == 1


class Padding(nn.Module):
    """Pads samples to the largest of their batch, ``[B, N, F]``, as many dense networks do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(5, width), nn.Linear(width, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        dense = x.new_zeros(*mask.shape, 5)
        dense[mask] = x
        return self.head(self.inner(dense).relu())[mask]


class TestPadding:
    """Terms between samples that are padded to the largest of their batch."""

    def batch(self, names: str) -> SimpleNamespace:
        sizes = [{"a": 2, "b": 4, "c": 3, "d": 4}[name] for name in names]
        batch = flat(sizes, ids=tuple(names))
        batch.x = torch.cat([torch.full((size, 5), float(size)) for size in sizes])
        batch.mask = torch.arange(max(sizes)) < torch.tensor(sizes).unsqueeze(1)
        batch.y = torch.zeros(len(batch.x), dtype=torch.int64)
        return batch

    def distiller(self, loss: gkd.AbstractLoss, **options: object) -> gkd.Distiller:
        layout = options.pop("layout", None)
        term = gkd.Term(loss, student="inner", teacher="inner", layout=layout)
        torch.manual_seed(0)
        return distiller_of(Padding(7), Padding(6), term, inputs=("x", "mask"), **options)

    @pytest.mark.parametrize("layout", [None, {"form": "B N F", "mask": "mask"}])
    def test_a_term_compares_nodes(self, layout) -> None:
        loss = Recorder()
        distiller = self.distiller(loss, layout=layout)
        for names in ("abc", "ca", "b", "bd"):
            batch = self.batch(names)
            distiller(batch)
            for view, network in (
                (loss.student, distiller.student),
                (loss.teacher, distiller.teachers["teacher"]),
            ):
                torch.testing.assert_close(view.features, network.inner(batch.x))
                assert torch.equal(view.batch, batch.batch)

    def test_a_cache_says_where_padding_cannot_be_kept(self) -> None:
        distiller = self.distiller(Recorder(), teacher_cache=TeacherCache())
        distiller(self.batch("bd"))
        distiller(self.batch("bd"))
        distiller(self.batch("c"))
        with pytest.raises(ParameterError, match="padded to the largest of their batch"):
            distiller(self.batch("bc"))
        distiller = self.distiller(Recorder(), teacher_cache=TeacherCache())
        distiller(self.batch("ab"))
        with pytest.raises(ParameterError, match="for a sample depend on the other samples"):
            distiller(self.batch("a"))
