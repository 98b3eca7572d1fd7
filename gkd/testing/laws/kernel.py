"""The laws of kernels."""

from gkd.testing.law import Law
from gkd.testing.laws import kernel_engineering, kernel_values

LAWS: tuple[Law, ...] = (
    kernel_values.finite_and_one_per_edge,
    kernel_values.symmetric,
    kernel_values.statistics_agree_with_raw_pairs,
    kernel_values.depends_on_the_pair_alone,
    kernel_values.isolated_nodes_and_empty_edges,
    kernel_values.invariant_to_edge_order,
    kernel_values.equivariant_to_node_relabelling,
    kernel_values.inputs_unmodified,
    kernel_engineering.gradient_reaches_the_features,
    kernel_engineering.gradcheck_in_float64,
    kernel_engineering.half_precision_under_autocast,
    kernel_engineering.dtype_preserved,
    kernel_engineering.device_preserved,
    kernel_engineering.bounded_memory,
    kernel_engineering.deterministic_under_a_seed,
    kernel_engineering.pickles,
    kernel_engineering.works_in_two_processes,
)
