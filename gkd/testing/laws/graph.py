"""The laws of graph builders."""

from gkd.testing.law import Law
from gkd.testing.laws import graph_edges, graph_engineering

LAWS: tuple[Law, ...] = (
    graph_edges.valid_indices,
    graph_edges.batch_borders_never_crossed,
    graph_edges.translation_invariant,
    graph_edges.equivariant_to_node_relabelling,
    graph_edges.few_and_coincident_points,
    graph_engineering.inputs_unmodified,
    graph_engineering.accepts_features_in_training,
    graph_engineering.half_precision_under_autocast,
    graph_engineering.device_preserved,
    graph_engineering.bounded_memory,
    graph_engineering.deterministic_under_a_seed,
    graph_engineering.pickles,
    graph_engineering.works_in_two_processes,
)
