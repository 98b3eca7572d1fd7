"""What a distiller takes from a batch: inputs, labels, masks, logits."""

from types import SimpleNamespace

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, Recorder, Squared, batch_of, distiller_of
from torch.nn import functional

import gkd
from gkd.errors import DataError, ParameterError, TapError, UnknownNameError


class TestBatch:
    def test_a_missing_input_names_what_there_is(self) -> None:
        with pytest.raises(DataError, match=r"no 'pos'; available: edge_index, x, y"):
            distiller_of({}, Network(), inputs=["pos"])(batch_of())

    def test_a_missing_target_names_what_there_is(self) -> None:
        with pytest.raises(DataError, match=r"target: .* no 'labels'; available: edge_index, x, y"):
            distiller_of({}, Network(), target="labels")(batch_of())

    def test_a_dict_has_keys_and_no_attributes(self) -> None:
        message = (
            r"^inputs: the batch \(dict\) has no 'x'; a dict has keys, not attributes: "
            r"pass types\.SimpleNamespace\(\*\*batch\)$"
        )
        with pytest.raises(DataError, match=message):
            distiller_of({}, Network())(vars(batch_of()))

    @pytest.mark.parametrize("part", ["tensor", "pair", "nothing", "empty list"])
    def test_parts_of_a_batch_are_none(self, part: str) -> None:
        batch = batch_of()
        given = {"tensor": batch.x, "pair": (batch.x, batch.y), "nothing": None, "empty list": []}
        message = (
            r"^inputs: the batch \(.*\) has no 'x'; a batch is one object that has all data as "
        )
        with pytest.raises(DataError, match=message):
            distiller_of({}, Network())(given[part])

    def test_several_batches_are_no_batch(self) -> None:
        with pytest.raises(
            DataError, match=r"no 'x'; its items have: pass one of them, or a batch"
        ):
            distiller_of({}, Network())([batch_of(), batch_of()])

    def test_a_dict_with_attributes_names_what_there_is(self) -> None:
        class Attributes(dict):
            __getattr__ = dict.get

        with pytest.raises(DataError, match=r"no 'pos'; available: edge_index, x, y"):
            distiller_of({}, Network(), inputs=["pos"])(Attributes(vars(batch_of())))

    def test_inputs_must_be_names(self) -> None:
        with pytest.raises(ParameterError, match="inputs: expected names of attributes such as"):
            distiller_of({}, Network(), inputs="x")

    def test_an_unknown_task_names_the_nearest(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'single-label'"):
            distiller_of({}, Network(), task="singlelabel")

    def test_gkd_batches(self) -> None:
        sample = vars(batch_of())
        batch = gkd.collate([gkd.Sample(id=name, **sample) for name in "ab"])
        loss = Recorder()
        distiller_of(Network(), Network(), gkd.Term(loss, **SAME_TAPS))(batch)
        assert loss.student.graph.num_nodes == 12
        assert torch.equal(loss.student.batch, batch.batch)
        assert torch.equal(loss.teacher.batch, batch.batch)


class TestMask:
    def test_only_masked_rows_are_supervised(self) -> None:
        batch, student = batch_of(), Network().eval()
        batch.train_mask = torch.tensor([True, False, True, False, False, False])
        report = distiller_of({}, student, mask="train_mask")(batch)
        expected = functional.cross_entropy(student(batch.x)[[0, 2]], batch.y[[0, 2]])
        torch.testing.assert_close(report.task, expected)

    def test_terms_take_all_rows(self) -> None:
        batch, teacher, student = batch_of(), Network(), Network().eval()
        batch.train_mask = torch.arange(6) < 2
        term = gkd.Term(Squared())
        report = distiller_of(teacher, student, term, mask="train_mask")(batch)
        expected = functional.mse_loss(student(batch.x), teacher(batch.x))
        torch.testing.assert_close(report.terms["squared"], expected)

    @pytest.mark.parametrize("mask", [torch.ones(5, dtype=torch.bool), torch.ones(6)])
    def test_a_mask_that_does_not_fit(self, mask: torch.Tensor) -> None:
        batch = batch_of()
        batch.m = mask
        with pytest.raises(DataError, match=r"batch\.m must be boolean with an entry for each"):
            distiller_of({}, Network(), mask="m")(batch)

    @pytest.mark.parametrize(
        ("name", "mask", "advice"),
        [
            ("train_mask", torch.arange(6) < 2, "mask='train_mask'"),
            ("train_masks", torch.ones(6, 3, dtype=torch.bool), "mask='train_masks\\[0\\]'"),
        ],
    )
    def test_a_mask_that_nobody_uses_is_refused(self, name, mask, advice) -> None:
        batch = batch_of()
        setattr(batch, name, mask)
        with pytest.raises(DataError, match=f"{name}, but nobody uses it.*{advice}"):
            distiller_of({}, Network())(batch)
        student = Network().eval()
        report = distiller_of({}, student, mask="all")(batch)
        torch.testing.assert_close(report.task, functional.cross_entropy(student(batch.x), batch.y))


class TestLogits:
    def test_they_may_be_an_item_of_the_output(self) -> None:
        class Pair(Network):
            def forward(self, x):
                return {"hidden": x, "scores": super().forward(x)}

        student, loss = Pair().eval(), Recorder()
        # A network that returns a tensor needs no item, so teacher and student may differ.
        distiller = distiller_of(Network(), student, gkd.Term(loss), logits="[scores]")
        assert torch.equal(distiller(batch_of()).logits, student(batch_of().x)["scores"])

    def test_an_output_without_logits_says_how_to_name_them(self) -> None:
        class Pair(Network):
            def forward(self, x):
                return super().forward(x), x

        with pytest.raises(TapError, match=r"student returns a tuple of 2 .* logits='\[0\]'"):
            distiller_of({}, Pair())(batch_of())
        with pytest.raises(TapError, match=r"no item \[2\]; a tuple of 2 has items 0, 1"):
            distiller_of({}, Pair(), logits="[2]")(batch_of())


def test_a_namespace_is_a_batch() -> None:
    batch = SimpleNamespace(x=torch.zeros(2, 5), y=torch.tensor([0, 1]))
    assert distiller_of({}, Network())(batch).total.isfinite()
