"""The laws of losses."""

from gkd.testing.law import Law
from gkd.testing.laws import (
    loss_gradients,
    loss_invariances,
    loss_numerics,
    loss_persistence,
    loss_targets,
    loss_values,
)

LAWS: tuple[Law, ...] = (
    loss_values.finite_and_scalar,
    loss_values.non_negative,
    loss_values.zero_at_equality,
    loss_values.isolated_nodes_and_empty_edges,
    loss_values.different_widths,
    loss_invariances.invariant_to_edge_order,
    loss_invariances.invariant_to_node_relabelling,
    loss_values.inputs_unmodified,
    loss_values.says_what_is_missing,
    loss_targets.target_stands_for_the_teacher,
    loss_targets.targets_of_samples_make_that_of_a_batch,
    loss_gradients.gradient_reaches_the_student,
    loss_gradients.gradient_step_lowers_the_loss,
    loss_gradients.gradcheck_in_float64,
    loss_gradients.no_gradient_to_the_teacher,
    loss_numerics.half_precision_under_autocast,
    loss_numerics.dtype_preserved,
    loss_numerics.device_preserved,
    loss_numerics.bounded_memory,
    loss_persistence.deterministic_under_a_seed,
    loss_persistence.state_dict_round_trip,
    loss_persistence.pickles,
    loss_persistence.works_in_two_processes,
)
