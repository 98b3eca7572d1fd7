"""The benchmarks that ``gkd bench`` runs.

Their alternatives are the textbook formulation written plainly, and well-known packages.
"""

from collections.abc import Callable, Mapping
from functools import partial

from gkd import Term, names
from gkd.benchmarking import Benchmark, Goal
from gkd_benchmarks.compiled import AgainstCompiledLayer, AgainstCompiledTextbook, CompiledStep
from gkd_benchmarks.dgcnn_cases import STUDENT, Network
from gkd_benchmarks.gat_cases import Layer
from gkd_benchmarks.graph_cases import Sorting
from gkd_benchmarks.growth import LargeStep, LSPGrowth, NodeOrder
from gkd_benchmarks.knn_cases import (
    AgainstPackages,
    AgainstScipy,
    AgainstTree,
    LargeCloud,
    LargeCloudOfScipy,
)
from gkd_benchmarks.large_graphs import ArxivStep, SampledStep
from gkd_benchmarks.lsp_cases import LSP, AgainstSampledProduct, LSPOnUnion
from gkd_benchmarks.steps import DGCNNStep, GATStep, TeacherInHalf
from gkd_benchmarks.zoo import ZooStep

BENCHMARKS: Mapping[str, Callable[..., Benchmark]] = {
    "lsp-rbf": partial(LSP, "rbf"),
    "lsp-rbf-cached": partial(LSP, "rbf", cached=True),
    "lsp-linear": partial(LSP, "linear"),
    "lsp-poly": partial(LSP, "poly"),
    "lsp-l2": partial(LSP, "l2"),
    "lsp-cosine": partial(LSP, "cosine"),
    "lsp-laplacian": partial(LSP, "laplacian"),
    "lsp-sampled": AgainstSampledProduct,
    "lsp-union": LSPOnUnion,
    "graph": partial(Sorting, edges=132_000, nodes=4744),
    "graph-large": partial(Sorting, edges=10**7, nodes=10**6, long=True),
    "gat-student": partial(Layer, 136, 68, 2, goal=Goal(speed=6)),
    "gat-teacher": partial(Layer, 1024, 256, 4, goal=Goal(speed=4.5)),
    "gat-first": partial(Layer, 50, 256, 4, goal=Goal()),
    "gat-classes": partial(Layer, 136, 1000, 2, concat=False, goal=Goal()),
    "gat-one-head": partial(Layer, 256, 256, 1, goal=Goal()),
    "gat-8-heads": partial(Layer, 256, 32, 8, goal=Goal()),
    "gat-heads": partial(Layer, 256, 8, 32, seed=4, goal=Goal()),
    "dgcnn-training": partial(Network, training=True, goal=Goal(speed=4)),
    "dgcnn-inference": partial(Network, training=False, goal=Goal(speed=5)),
    "dgcnn-student-training": partial(Network, STUDENT, training=True, goal=Goal()),
    "dgcnn-student-inference": partial(Network, STUDENT, training=False, goal=Goal()),
    "knn-3": partial(AgainstPackages, 3, goal=Goal(speed=1)),
    "knn-64": partial(AgainstPackages, 64, goal=Goal(speed=1)),
    "knn-128": partial(AgainstPackages, 128, goal=Goal(speed=1)),
    "knn-tree-2": partial(AgainstTree, 2, points=2048),
    "knn-tree-3": partial(AgainstTree, 3, points=4096),
    "knn-tree-4": partial(AgainstTree, 4, points=4096),
    "knn-tree-6": partial(AgainstTree, 6, points=16_384, total=16_384),
    "knn-scipy-2": partial(AgainstScipy, 2, points=2048),
    "knn-scipy-3": partial(AgainstScipy, 3, points=4096),
    "knn-scipy-4": partial(AgainstScipy, 4, points=4096),
    "knn-large": LargeCloud,
    "knn-large-scipy": LargeCloudOfScipy,
    "ppi-step": partial(GATStep, goal=Goal(time=1.15, memory=1.1)),
    "modelnet-step": partial(DGCNNStep, cached=True, goal=Goal(time=1.3)),
    "modelnet-step-uncached": partial(DGCNNStep, cached=False, goal=Goal(time=2.2)),
    **{
        f"{data}-{name}-half": partial(step, cached=False, half=True, term=term, goal=Goal(time=2))
        for data, step in (("ppi", GATStep), ("modelnet", DGCNNStep))
        for name, term in (("step", None), ("kd", Term("kd")))
    },
    "teacher-half-gat": partial(TeacherInHalf, GATStep),
    "teacher-half-dgcnn": partial(TeacherInHalf, DGCNNStep),
    "compiled-gat": partial(CompiledStep, GATStep),
    "compiled-dgcnn": partial(CompiledStep, DGCNNStep),
    "gat-student-compiled": partial(AgainstCompiledLayer, 136, 68, 2, goal=Goal()),
    "compiled-textbook": partial(AgainstCompiledTextbook, "rbf"),
    "compiled-textbook-l1": partial(AgainstCompiledTextbook, "laplacian"),
    "lsp-growth": LSPGrowth,
    "lsp-node-order": NodeOrder,
    "large-step": LargeStep,
    "arxiv-step": ArxivStep,
    "sampled-step": SampledStep,
    **{f"zoo-{loss}": partial(ZooStep, loss) for loss in names("loss")},
}
