"""The laws of models."""

from gkd.testing.law import Law
from gkd.testing.laws import model_engineering, model_outputs, model_training

LAWS: tuple[Law, ...] = (
    model_outputs.finite_logits,
    model_outputs.isolated_nodes_and_empty_edges,
    model_outputs.invariant_to_edge_order,
    model_outputs.equivariant_to_node_relabelling,
    model_outputs.samples_do_not_mix,
    model_outputs.inputs_unmodified,
    model_training.gradient_reaches_every_parameter,
    model_training.gradcheck_in_float64,
    model_training.deterministic_under_a_seed,
    model_training.state_dict_round_trip,
    model_engineering.half_precision_under_autocast,
    model_engineering.dtype_preserved,
    model_engineering.device_preserved,
    model_engineering.bounded_memory,
    model_engineering.pickles,
    model_engineering.works_in_two_processes,
)
