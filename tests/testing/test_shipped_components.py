"""The components that gkd ships pass the kit, by the door that everybody takes."""

import gkd
from gkd import testing
from gkd.hosting.kinds import KINDS
from gkd.testing.subject import selected

EXAMPLES = 4
# Read from files that are not ours to write: tests/plugins/test_gkd_data_conformance.py.
FROM_FILES = {"ppi", "modelnet40", "nodes"}

by_default = [
    (subject.kind, name, subject.params)
    for kind in KINDS
    for name in gkd.names(kind)
    if name not in FROM_FILES
    for subject in selected(f"{kind}:{name}", EXAMPLES)
]
MEDIAN = "the bandwidth is taken from the data, and no gradient flows through it"


@testing.parametrize_with_checks(by_default, examples=EXAMPLES)
def test_as_they_are_by_default(check):
    check()


@testing.parametrize_with_checks(
    [
        ("loss", "lsp", {"variant": "official-code"}),
        ("loss", "lsp", {"variant": "joshi", "kernel": "poly"}),
        ("loss", "lsp", {"kernel": "l2", "reduction": "edge-mean"}),
        ("loss", "lsp", {"hops": 2, "learn_scale": True}),
        ("loss", "kd", {"task": "multi-label", "temperature": 1.0}),
        ("loss", "kd", {"standardise": True}),
        ("loss", "cc", {"variant": "official-code", "width": 4}),
        ("loss", "fitnet", {"reduction": "mean", "normalise": True, "bias": False}),
        ("loss", "at", {"power": 1.0, "pooling": "max"}),
        ("loss", "nst", {"kernel": "linear"}),
        ("loss", "nst", {"kernel": "gaussian", "sigma": 0.5}),
        ("loss", "dkd", {"unlabelled": "skip", "per_row": True}),
        ("loss", "wsld", {"temperature": 1.0, "per_row": True}),
        ("loss", "fsp", {"reduction": "mean"}),
        ("loss", "reviewkd", {"hops": 3}),
        ("loss", "crd", {"width": 4, "negatives": 3, "per_row": True}),
        ("loss", "hgmd", {"warmup": 0}),
        ("loss", "mskd", {"loss": "kd", "attention": "batch", "per_row": True}),
        ("loss", "gsp", {"kernel": "l2"}),
        ("loss", "krd", {"warmup": 0, "bins": 4, "momentum": 0.0}),
        ("kernel", "poly", {"c": 1.0, "degree": 3}),
        ("kernel", "l2", {"squared": False}),
        ("kernel", "cosine", {"power": 2}),
        ("graph", "knn", {"k": 3, "backend": "torch"}),
        ("graph", "knn", {"k": 3, "backend": "torch-cluster"}),
        ("graph", "knn", {"k": 3, "self_loops": False}),
        ("graph", "radius", {"radius": 1.0, "self_loops": False}),
        ("model", "gat", {"hidden_channels": (4,), "heads": (2, 1), "dropout": 0.5}),
        ("dataset", "shapes", {"points": 16, "train_per_class": 3, "augment": True}),
    ],
    examples=EXAMPLES,
)
def test_in_their_variants(check):
    check()


@testing.parametrize_with_checks(
    [("kernel", "rbf", {"sigma": "median"}), ("loss", "lsp", {"sigma": "median"})],
    expected_failures={"gradcheck-in-float64": MEDIAN},
    examples=25,  # one of them has to show it
)
def test_a_bandwidth_from_the_data(check):
    check()


def test_all_that_gkd_ships_is_checked():
    checked = {(kind, name) for kind, name, _ in by_default}
    checked |= {("dataset", name) for name in FROM_FILES}
    shipped = {(subject.kind, subject.name.partition("(")[0]) for subject in selected("gkd")}
    assert checked == shipped
