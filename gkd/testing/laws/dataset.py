"""The laws of datasets."""

from gkd.testing.law import Law
from gkd.testing.laws import dataset_repetition, dataset_samples

LAWS: tuple[Law, ...] = (
    dataset_samples.says_what_it_is,
    dataset_samples.splits_are_sequences,
    dataset_samples.splits_share_no_sample,
    dataset_samples.samples_fit_the_description,
    dataset_samples.labels_fit_the_task,
    dataset_samples.samples_make_a_batch,
    dataset_repetition.same_sample_each_time,
    dataset_repetition.same_data_for_the_same_parameters,
    dataset_repetition.random_state_left_alone,
    dataset_repetition.epochs_change_what_is_declared,
    dataset_repetition.pickles,
    dataset_repetition.works_in_two_processes,
)
