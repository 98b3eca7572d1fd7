"""Distillation on sampled neighbourhoods: at the seeds it is that of the whole graph."""

from pathlib import Path

import pytest
import torch
from torch import nn

import gkd
from gkd.cache import TeacherCache
from gkd.hosting.host import current_host

NODES, EDGES, SEEDS = 40, 160, 12
TERMS = {
    "kd": {"loss": "kd"},
    "lsp": {"loss": "lsp", "student": "layers.0", "teacher": "layers.0"},
    "sp": {"loss": "sp", "student": "layers.1", "teacher": "layers.1"},
}


def graph(nodes: int = NODES, edges: int = EDGES) -> gkd.Sample:
    generator = torch.Generator().manual_seed(0)
    chosen = torch.zeros(nodes, dtype=torch.bool)
    chosen[torch.randperm(nodes, generator=generator)[:SEEDS]] = True
    return gkd.Sample(
        id="graph",
        x=torch.randn(nodes, 5, generator=generator, dtype=torch.float64),
        edge_index=torch.randint(nodes, (2, edges), generator=generator),
        y=torch.randint(3, (nodes,), generator=generator),
        chosen=chosen,
        train_mask=torch.rand(nodes, generator=generator) < 0.5,
    )


def network(name: str, width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    sizes = {"hidden_channels": [width] if name == "gat" else width}
    sizes |= {"heads": [1, 1]} if name == "gat" else {"num_layers": 2}
    return gkd.create("model", name, in_channels=5, out_channels=3, **sizes).double()


class Counting(nn.Module):
    """A teacher that counts its runs, and on how many nodes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.runs = inner, []
        self.layers = inner.layers

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        self.runs.append(len(x))
        return self.inner(x, edge_index)


def distiller(
    model: str, *terms: str, rows: str, cache: TeacherCache | None = None, mask: str = "train_mask"
) -> gkd.Distiller:
    made = gkd.Distiller(
        Counting(network(model, 8, seed=1)),
        network(model, 4, seed=2),
        [gkd.Term(rows=rows, name=term, **TERMS[term]) for term in terms],
        task="single-label",
        inputs=("x", "edge_index"),
        mask=mask,
        teacher_cache=cache,
    )
    return made.eval()


def batch_of(neighbours: list[object], sample: gkd.Sample | None = None) -> gkd.Batch:
    loader = gkd.NeighbourLoader(sample or graph(), neighbours, SEEDS, rows="chosen")
    return next(iter(loader))


@pytest.mark.parametrize("model", ["sage", "gin", "gat", "gcn"])
@pytest.mark.parametrize("cached", [True, False])
def test_with_all_neighbours_losses_are_those_of_the_whole_graph(model: str, cached: bool) -> None:
    whole = gkd.collate([graph()])
    expected = distiller(model, *TERMS, rows="chosen", mask="chosen")(whole)
    cache = TeacherCache() if cached else None
    sampled = distiller(model, *TERMS, rows="seeds", mask="seeds", cache=cache)
    # LSP looks at the sources of the seeds' edges; GCN divides by the degrees of its sources.
    found = sampled(batch_of(["all"] * 3))
    torch.testing.assert_close(found.task, expected.task, rtol=1e-9, atol=1e-12)
    for term in TERMS:
        torch.testing.assert_close(found.terms[term], expected.terms[term], rtol=1e-9, atol=1e-12)
    runs = sampled.teachers["teacher"].runs
    assert max(runs) == (NODES if cached else batch_of(["all"] * 3).num_nodes)


def test_a_mask_takes_its_rows_among_the_seeds() -> None:
    batch = batch_of(["all", "all"])
    labelled = batch.train_mask[:SEEDS]
    assert 0 < int(labelled.sum()) < SEEDS
    made = distiller("sage", "kd", rows="all")
    logits = made.student(batch.x, batch.edge_index)[:SEEDS]
    report = made(batch)
    expected = nn.functional.cross_entropy(logits[labelled], batch.y[:SEEDS][labelled])
    torch.testing.assert_close(report.task, expected)
    of_seeds = distiller("sage", "kd", rows="seeds")(batch)
    torch.testing.assert_close(report.terms["kd"], of_seeds.terms["kd"])


def test_without_a_mask_the_seeds_train() -> None:
    batch = batch_of(["all"], _without(graph(), "train_mask"))
    made = distiller("sage", rows="all", mask=None)
    logits = made.student(batch.x, batch.edge_index)[:SEEDS]
    expected = nn.functional.cross_entropy(logits, batch.y[:SEEDS])
    torch.testing.assert_close(made(batch).task, expected)


def test_labels_that_nobody_asked_for_are_refused_as_of_a_whole_graph() -> None:
    with pytest.raises(gkd.DataError, match="has a train_mask, but nobody uses it"):
        distiller("sage", rows="all", mask=None)(batch_of(["all"]))


def test_seeds_without_a_labelled_one_have_no_supervised_loss() -> None:
    sample = _without(graph(), "train_mask")
    none = torch.zeros(NODES, dtype=torch.bool)
    batch = batch_of(["all"], gkd.Sample(id="a", train_mask=none, **dict(sample.items())))
    report = distiller("sage", "kd", rows="all")(batch)
    assert report.task.item() == 0
    report.total.backward()


def _without(sample: gkd.Sample, name: str) -> gkd.Sample:
    kept = {key: value for key, value in sample.items() if key != name}
    return gkd.Sample(id=sample.id, **kept)


def test_losses_of_a_whole_graph_are_refused() -> None:
    term = gkd.Term("heat-kernel", student="layers.0", teacher="layers.0")
    made = gkd.Distiller(
        network("sage", 8, 1), network("sage", 4, 2), [term],
        task="single-label", inputs=("x", "edge_index"), mask="train_mask",
    )  # fmt: skip
    with pytest.raises(gkd.ParameterError, match="would see the edges among the seeds"):
        made(batch_of(["all"]))
    lsp = distiller("sage", "lsp", rows="all")
    with pytest.raises(gkd.ParameterError, match='rows="seeds" gives it a value for each'):
        lsp(batch_of(["all"]))


OVER_ALL_NODES = {
    "crd": "the scale, of the first batch",
    "ff-g2m-high": "the mean over all edges, of seeds alone",
    "ff-g2m-low": "the mean over all edges, of seeds alone",
    "hgmd": "the largest entropy, and the mean over all pairs, of seeds alone",
    "krd": "the mean over all pairs, of seeds alone",
    "llp-d": "pairs drawn among all nodes",
    "llp-r": "pairs drawn among all nodes",
    "nosmog": "noise drawn for all nodes",
    "vqgraph": "codes drawn from all nodes",
}


@pytest.mark.parametrize("name", [name for name in gkd.names("loss") if name not in OVER_ALL_NODES])
def test_every_loss_is_that_of_the_whole_graph_or_refused(name: str) -> None:
    nodes, edges = 600, 900  # so many that most of them are nowhere near the seeds
    sample = graph(nodes, edges)
    weight = torch.rand(edges, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # Named, so that both draw the same for a node.
    named = gkd.Sample(id="a", n_id=torch.arange(nodes), edge_weight=weight, **dict(sample.items()))
    uses = current_host().component("loss", name).factory.uses
    taps = ["layers.0", "layers.1"] if "layers" in uses else "layers.0"
    tapped = {"student": taps, "teacher": taps} if "features" in uses else {}

    def value(batch: gkd.Batch, rows: str) -> torch.Tensor:
        made = gkd.Distiller(
            network("sage", 6, 1), network("sage", 6, 2),
            [gkd.Term(name, rows=rows, name="term", **tapped)],
            task="single-label", inputs=("x", "edge_index"), mask=rows,
        )  # fmt: skip
        torch.manual_seed(0)
        made.prepare(batch).eval()
        return made(batch).terms["term"]

    expected = value(gkd.collate([named]), "chosen")
    loader = gkd.NeighbourLoader(named, ["all"] * 4, SEEDS, rows="chosen", shuffle=False)
    part = next(iter(loader))
    assert part.num_nodes < nodes / 2
    try:
        found = value(part, "seeds")
    except gkd.ParameterError as error:
        assert "graph" in uses
        assert "would see the edges among the seeds" in str(error)  # noqa: PT017
    else:
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


class TestCache:
    def test_the_teacher_runs_once_on_the_whole_graph(self) -> None:
        made = distiller("sage", *TERMS, rows="seeds", cache=TeacherCache())
        loader = gkd.NeighbourLoader(graph(), [2, 2], 8)
        for epoch in range(2):
            loader.set_epoch(epoch)
            for batch in loader:
                made(batch)
        assert made.teachers["teacher"].runs == [NODES]
        assert made.teacher_cache.hits == 9

    def test_files_are_found_again_by_another_cache(self, tmp_path: Path) -> None:
        def made() -> gkd.Distiller:
            cache = TeacherCache(limit_bytes=0, folder=tmp_path)
            return distiller("sage", *TERMS, rows="seeds", cache=cache)

        first, second = made(), made()
        batch = batch_of([2, 2])
        expected = first(batch)
        found = second(batch_of([2, 2]))
        assert second.teachers["teacher"].runs == []
        torch.testing.assert_close(found.total, expected.total)
        assert first.teacher_cache.num_bytes == 0
        assert first.teacher_cache.num_bytes_in_files > 0

    def test_files_of_other_data_or_weights_are_not_taken(self, tmp_path: Path) -> None:
        cache = TeacherCache(limit_bytes=0, folder=tmp_path)
        distiller("sage", "kd", rows="seeds", cache=cache)(batch_of([2]))
        sample = graph()
        sample.x[0, 0] += 1
        again = distiller("sage", "kd", rows="seeds", cache=TeacherCache(0, tmp_path))
        again(batch_of([2], sample))
        assert again.teachers["teacher"].runs == [NODES]
        with torch.no_grad():
            next(again.teachers["teacher"].parameters()).add_(1)
        again(batch_of([2], sample))
        assert again.teachers["teacher"].runs == [NODES, NODES]

    def test_half_precision_takes_less_room_and_says_nearly_the_same(self, tmp_path: Path) -> None:
        sizes, values = [], []
        for half in (False, True):
            cache = TeacherCache(limit_bytes=0, folder=tmp_path, half=half)
            made = distiller("sage", "sp", rows="seeds", cache=cache)
            values.append(made(batch_of(["all", "all"])).terms["sp"])
            sizes.append(cache.num_bytes_in_files)
        assert sizes[0] == 4 * sizes[1]  # float64, float16
        assert values[0] != values[1]
        torch.testing.assert_close(*values, rtol=1e-2, atol=0)

    def test_the_first_answer_is_rounded_like_all_others(self) -> None:
        made = distiller("sage", "sp", rows="seeds", cache=TeacherCache(half=True))
        batch = batch_of(["all"])
        assert made(batch).terms["sp"] == made(batch).terms["sp"]

    def test_what_half_precision_has_no_room_for_is_an_error(self) -> None:
        made = distiller("sage", "kd", rows="seeds", cache=TeacherCache(half=True))
        with torch.no_grad():
            for parameter in made.teachers["teacher"].parameters():
                parameter.mul_(1e4)
        with pytest.raises(gkd.ParameterError, match="half precision has no room for"):
            made(batch_of(["all"]))

    def test_a_graph_that_is_changed_in_place_is_noticed(self) -> None:
        sample = graph()
        made = distiller("sage", "kd", rows="seeds", cache=TeacherCache())
        made(batch_of([2], sample))
        loader = gkd.NeighbourLoader(sample, [2], SEEDS)
        batch = next(iter(loader))
        made(batch)
        sample.x.add_(1)
        with pytest.raises(gkd.DataError, match="sample 'graph' has changed"):
            made(batch)

    def test_graphs_are_built_of_the_nodes_of_a_step_alone(self) -> None:
        sizes = []

        def builder(features: torch.Tensor, batch: torch.Tensor | None) -> gkd.Graph:
            sizes.append(len(features))
            return gkd.Graph(torch.empty(2, 0, dtype=torch.int64), len(features))

        term = gkd.Term("lsp", student="layers.0", teacher="layers.0", rows="seeds", graph=builder)
        made = gkd.Distiller(
            network("sage", 8, 1), network("sage", 4, 2), [term], task="single-label",
            inputs=("x", "edge_index"), mask="seeds", teacher_cache=TeacherCache(),
        )  # fmt: skip
        batch = batch_of([1])
        made(batch)
        assert sizes == [batch.num_nodes] * 2

    def test_remember_keeps_the_whole_graph(self) -> None:
        made = distiller("sage", "kd", rows="seeds", cache=TeacherCache())
        assert made.remember(batch_of([1]))
        made(batch_of([2]))
        assert made.teachers["teacher"].runs == [NODES]

    def test_a_copied_batch_has_no_graph_to_run_the_teacher_on(self) -> None:
        import copy

        made = distiller("sage", "kd", rows="seeds", cache=TeacherCache())
        with pytest.raises(gkd.ParameterError, match="does not know the graph"):
            made(copy.deepcopy(batch_of([1])))


def test_weights_by_degree_keep_the_size_of_a_term() -> None:
    # Other nodes than seeds have lost edges: beside their mean, every seed would be heavy.
    nodes = torch.arange(NODES)
    edges = [torch.stack([(nodes + step) % NODES, nodes]) for step in (1, 3, 7)]
    regular = gkd.Sample(
        id="regular",
        x=graph().x,
        edge_index=torch.cat(edges, 1),
        y=graph().y,
        chosen=graph().chosen,
    )
    terms = [gkd.Term("kd"), gkd.Term("kd", name="weighed", weigher="degree")]
    networks = network("sage", 8, seed=1), network("sage", 4, seed=2)
    made = gkd.Distiller(*networks, terms, task="single-label", inputs=("x", "edge_index"))
    report = made(batch_of(["all", 2], regular))
    torch.testing.assert_close(report.terms["weighed"], report.terms["kd"])


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ff-g2m-low", {}),
        ("krd", {}),
        ("hgmd", {"scheme": "plain"}),
        ("hgmd", {"scheme": "weight"}),
    ],
)
def test_means_over_pairs_are_those_of_the_seeds(name: str, params: dict[str, object]) -> None:
    sample = graph(600, 1200)
    student, teacher = network("sage", 4, seed=2).eval(), network("sage", 8, seed=1).eval()
    log_s, log_t = (net(sample.x, sample.edge_index).log_softmax(1) for net in (student, teacher))
    edges = {(i, j) for j, i in sample.edge_index.T.tolist() if i != j}
    rows = sample.chosen.nonzero().flatten().tolist()
    pairs = [(i, i) for i in rows] + [(i, j) for i, j in edges if i in rows]
    values = {(i, j): (log_t[j].exp() * (log_t[j] - log_s[i])).sum() for i, j in pairs}
    weights = dict.fromkeys(pairs, 1.0)
    if params.get("scheme") == "weight":
        near = {
            (i, j): nn.functional.cosine_similarity(log_t[i].exp(), log_t[j].exp(), dim=0)
            for i, j in pairs
        }
        for i, j in pairs:
            own = [near[pair] for pair in pairs if pair[0] == i]
            weights[i, j] = len(own) * near[i, j] / sum(own)
    expected = sum(weights[pair] * values[pair] for pair in pairs) / len(pairs)
    made = gkd.Distiller(
        teacher, student, [gkd.Term(name, params={"temperature": 1.0, **params})],
        task="single-label", inputs=("x", "edge_index"), mask="train_mask",
    )  # fmt: skip
    found = made.eval()(batch_of(["all"] * 3, sample)).terms[name]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_krd_measures_noise_and_no_missing_neighbours() -> None:
    term = gkd.Term("krd", params={"noise": 1e-6})
    networks = network("sage", 8, seed=1), network("sage", 4, seed=2)
    options = {"task": "single-label", "inputs": ("x", "edge_index"), "mask": "train_mask"}
    made = gkd.Distiller(*networks, [term], teacher_cache=TeacherCache(), **options).train()
    made(batch_of([2, 1]))
    changes = made.losses["krd"].changes.values
    assert len(changes) > SEEDS
    assert changes[:, 1].max() < 1e-5


TAPS = {"student": "layers.0", "teacher": "layers.0"}


def prepared(term: gkd.Term, batch: gkd.Batch) -> gkd.Distiller:
    made = gkd.Distiller(
        network("sage", 8, seed=1), network("sage", 4, seed=2), [term],
        task="single-label", inputs=("x", "edge_index"), mask="all",
    )  # fmt: skip
    torch.manual_seed(0)
    return made.prepare(batch)


class Built(gkd.AbstractLoss):
    """Notes what it was built from."""

    uses = ("features",)

    def __init__(self, per_row: bool) -> None:
        super().__init__()
        self.per_row, self.seen = per_row, []

    def build(self, student: gkd.View, teacher: gkd.View) -> None:
        self.seen += [student.features, teacher.features]

    def forward(self, student: gkd.View, teacher: gkd.View) -> torch.Tensor:
        gap = (student.features - teacher.features[:, : student.features.shape[1]]).square().mean(1)
        return gap if self.per_row else gap.mean()


@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("rows", ["all", "seeds", "train_mask", "~train_mask"])
def test_learned_parts_are_made_from_the_rows_that_count(per_row: bool, rows: str) -> None:
    batch = batch_of(["all", "all"])
    made = prepared(gkd.Term(Built(per_row), rows=rows, name="t", **TAPS), batch)
    every = made.outputs("teacher", batch).features
    mask = {"train_mask": batch.train_mask, "~train_mask": ~batch.train_mask}
    taken = mask.get(rows, torch.ones(batch.num_nodes, dtype=torch.bool)).clone()
    taken[SEEDS:] = False
    assert batch.num_nodes > SEEDS
    (features,) = every.values()
    torch.testing.assert_close(made.losses["t"].seen[1], features[taken])
    assert len(made.losses["t"].seen[0]) == int(taken.sum())


def test_codes_and_scales_are_those_of_the_seeds() -> None:
    batch = batch_of(["all", "all"])
    codes = gkd.Term("vqgraph", params={"codes": 6, "iterations": 0}, **TAPS)
    made = prepared(codes, batch)
    views = [
        gkd.View(features=next(iter(made.outputs(name, batch).features.values()))[:SEEDS])
        for name in ("student", "teacher")
    ]
    known = {tuple(row) for row in views[1].features.tolist()}
    assert {tuple(row) for row in made.losses["vqgraph"].codebook.tolist()} <= known
    found = prepared(gkd.Term("crd", params={"width": 4}, **TAPS), batch).losses["crd"]
    crd = gkd.create("loss", "crd", width=4)
    torch.manual_seed(0)
    crd.build(*views)
    torch.testing.assert_close(found.log_scales, crd.log_scales)


def test_without_a_row_that_counts_parts_are_made_of_all() -> None:
    none = torch.zeros(NODES, dtype=torch.bool)
    sample = gkd.Sample(id="a", train_mask=none, **dict(_without(graph(), "train_mask").items()))
    batch = batch_of(["all"], sample)
    made = prepared(gkd.Term(Built(True), rows="train_mask", name="t", **TAPS), batch)
    assert len(made.losses["t"].seen[0]) == batch.num_nodes
