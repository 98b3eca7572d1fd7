"""A distiller inside a user's own LightningModule."""

import pytest
import torch
from distiller_problems import Mapped, Network, batch_of, distiller_of
from torch.utils.data import DataLoader

import gkd

lightning = pytest.importorskip("lightning")


class Training(lightning.LightningModule):
    def __init__(self, distiller: gkd.Distiller) -> None:
        super().__init__()
        self.distiller = distiller

    def training_step(self, batch, index):
        self.distiller.epoch = self.current_epoch
        return self.distiller(batch).total

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def prepared() -> gkd.Distiller:
    term = gkd.Term(Mapped(), student="layers.0", teacher="layers.0")
    return distiller_of(Network(7), Network(), term).prepare(batch_of())


@pytest.mark.filterwarnings("ignore::UserWarning")  # workers, log intervals
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fit_trains_the_student_and_the_adapter_alone(tmp_path, precision: str) -> None:
    distiller = prepared()
    before = {name: p.clone() for name, p in distiller.named_parameters()}
    teacher = {k: v.clone() for k, v in distiller.teachers["teacher"].state_dict().items()}
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=2,
        default_root_dir=tmp_path,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader([batch_of(seed=seed) for seed in range(3)], collate_fn=lambda one: one[0])
    trainer.fit(Training(distiller), loader)
    changed = {n for n, p in distiller.named_parameters() if not torch.equal(p, before[n])}
    assert {"student.layers.0.weight", "losses.mapped.map.weight"} <= changed
    for name, value in distiller.teachers["teacher"].state_dict().items():
        assert torch.equal(value, teacher[name]), name
    assert distiller.epoch == 1

    (checkpoint,) = tmp_path.rglob("*.ckpt")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert not any("teacher" in key for key in state)
    again = Training(prepared())
    again.load_state_dict(state)
    for name, parameter in again.distiller.named_parameters():
        assert torch.equal(parameter, distiller.get_parameter(name)), name
