"""Which laws there are: what stands in the module of a kind, in that order, and nothing else."""

import pytest

from gkd import testing
from gkd.hosting.kinds import KINDS
from gkd.testing.law import law

NAMES = {
    "loss": [
        "finite-and-scalar",
        "different-widths",
        "non-negative",
        "zero-at-equality",
        "isolated-nodes-and-empty-edges",
        "invariant-to-edge-order",
        "invariant-to-node-relabelling",
        "inputs-unmodified",
        "says-what-is-missing",
        "target-stands-for-the-teacher",
        "targets-of-samples-make-that-of-a-batch",
        "gradient-reaches-the-student",
        "gradient-step-lowers-the-loss",
        "gradcheck-in-float64",
        "no-gradient-to-the-teacher",
        "half-precision-under-autocast",
        "dtype-preserved",
        "device-preserved",
        "bounded-memory",
        "declarations-are-known",
        "deterministic-under-a-seed",
        "state-dict-round-trip",
        "goes-on-equal-after-a-resume",
        "steps-do-not-hang-together",
        "pickles",
        "works-in-two-processes",
        "values-go-with-their-rows",
        "all-rows-make-the-loss",
        "rows-that-count-are-as-among-all",
        "labels-of-other-rows-play-no-part",
        "draws-from-the-step-alone",
        "global-state-left-alone",
        "least-at-equality",
        "gradient-lasts-at-high-temperatures",
        "invariant-to-class-order",
        "invariant-to-a-shift-of-logits",
        "samples-do-not-mix",
        "an-edge-concerns-its-target",
        "work-grows-with-the-graph",
    ],
    "kernel": [
        "finite-and-one-per-edge",
        "symmetric",
        "statistics-agree-with-raw-pairs",
        "depends-on-the-pair-alone",
        "isolated-nodes-and-empty-edges",
        "invariant-to-edge-order",
        "equivariant-to-node-relabelling",
        "inputs-unmodified",
        "gradient-reaches-the-features",
        "gradcheck-in-float64",
        "half-precision-under-autocast",
        "dtype-preserved",
        "device-preserved",
        "global-state-left-alone",
        "bounded-memory",
        "work-grows-with-the-graph",
        "deterministic-under-a-seed",
        "pickles",
        "works-in-two-processes",
        "declarations-are-known",
    ],
    "graph": [
        "valid-indices",
        "batch-borders-never-crossed",
        "translation-invariant",
        "equivariant-to-node-relabelling",
        "few-and-coincident-points",
        "inputs-unmodified",
        "accepts-features-in-training",
        "half-precision-under-autocast",
        "device-preserved",
        "global-state-left-alone",
        "bounded-memory",
        "work-grows-with-the-points",
        "deterministic-under-a-seed",
        "pickles",
        "works-in-two-processes",
        "declarations-are-known",
    ],
    "model": [
        "finite-logits",
        "isolated-nodes-and-empty-edges",
        "invariant-to-edge-order",
        "equivariant-to-node-relabelling",
        "samples-do-not-mix",
        "an-edge-concerns-its-target",
        "inputs-unmodified",
        "gradient-reaches-every-parameter",
        "gradcheck-in-float64",
        "deterministic-under-a-seed",
        "state-dict-round-trip",
        "half-precision-under-autocast",
        "dtype-preserved",
        "device-preserved",
        "global-state-left-alone",
        "bounded-memory",
        "work-grows-with-the-graph",
        "pickles",
        "works-in-two-processes",
        "declarations-are-known",
    ],
    "dataset": [
        "says-what-it-is",
        "splits-are-sequences",
        "splits-share-no-row",
        "masks-are-declared",
        "samples-fit-the-description",
        "labels-fit-the-task",
        "samples-make-a-batch",
        "same-sample-each-time",
        "same-data-for-the-same-parameters",
        "global-state-left-alone",
        "epochs-change-what-is-declared",
        "seeds-share-the-description",
        "pickles",
        "works-in-two-processes",
        "declarations-are-known",
    ],
    "task": [
        "says-what-it-is",
        "finite-and-scalar",
        "no-rows-give-zero",
        "invariant-to-the-order-of-rows",
        "mean-over-rows",
        "inputs-unmodified",
        "gradient-step-lowers-the-loss",
        "gradcheck-in-float64",
        "check-refuses-what-the-loss-cannot-take",
        "metrics-take-the-rows-of-the-loss",
        "metrics-pool-over-batches",
        "fitting-improves-the-main-metric",
        "half-precision",
        "dtype-preserved",
        "device-preserved",
        "global-state-left-alone",
        "deterministic-under-a-seed",
        "pickles",
        "works-in-two-processes",
        "declarations-are-known",
    ],
    "weigher": [
        "finite-and-one-per-row",
        "at-least-zero",
        "isolated-nodes-and-empty-edges",
        "invariant-to-edge-order",
        "equivariant-to-node-relabelling",
        "inputs-unmodified",
        "says-what-is-missing",
        "labels-of-other-rows-play-no-part",
        "needs-no-gradient",
        "half-precision-under-autocast",
        "dtype-no-wider",
        "device-preserved",
        "global-state-left-alone",
        "bounded-memory",
        "work-grows-with-the-graph",
        "deterministic-under-a-seed",
        "state-dict-round-trip",
        "pickles",
        "works-in-two-processes",
        "declarations-are-known",
    ],
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_kind_has_these_laws_in_this_order(kind):
    assert [one.name for one in testing.laws(kind)] == NAMES[kind]


def test_every_kind_has_laws():
    assert set(NAMES) == set(KINDS)


def test_a_law_that_is_made_elsewhere_is_no_law_of_the_kind():
    @law("kernel")
    def of_this_test(subject):
        """It is nobody else's."""

    assert of_this_test not in testing.laws("kernel")


def test_laws_are_asked_for_again_and_again():
    # The package of the laws has the same name as the function: neither may hide the other.
    assert testing.laws("loss") == testing.laws("loss")
    assert testing.laws("graph")
