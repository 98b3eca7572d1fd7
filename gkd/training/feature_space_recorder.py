"""Looks at the feature space of the networks of a run, for the report's picture of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from gkd.data import AbstractDataset, Sample
from gkd.distillation.inputs import inputs_or
from gkd.errors import DataError, UnknownNameError, suggestion
from gkd.evaluation.feature_distances import feature_distances
from gkd.files import write_sealed_json
from gkd.recipe.sections import FeatureSpaceRecipe
from gkd.training.lightning_module import DistillationModule
from gkd.training.run_directory import FEATURE_SPACE

View = dict[str, list[float]]
"""By the id of the sample, its features' distances to the marked node's."""


@dataclass(frozen=True)
class FeatureSpace:
    """What the recipe wants to see: test samples, each from one of its nodes.

    Args:
        recipe: taps, epochs, node.
        samples: the first, with ``pos``, is the one to draw.
        inputs: attributes of a batch that networks are called with.
    """

    recipe: FeatureSpaceRecipe
    samples: tuple[Sample, ...]
    inputs: tuple[str, ...]

    @classmethod
    def of(cls, recipe: FeatureSpaceRecipe, dataset: AbstractDataset) -> "FeatureSpace":
        """Find the samples.

        Raises:
            UnknownNameError: there is no such test sample.
            DataError: its nodes have no positions to draw, or there are not so many samples.
        """
        samples = dataset.test
        if recipe.sample is None:
            sample = samples[0]
        else:
            by_id = {sample.id: sample for sample in samples}
            if recipe.sample not in by_id:
                hint = suggestion(recipe.sample, by_id)
                raise UnknownNameError(f"there is no test sample {recipe.sample!r}; {hint}")
            sample = by_id[recipe.sample]
        if "pos" not in sample:
            raise DataError(
                f"sample {sample.id!r} has no positions (pos) to draw the distances at; "
                "feature spaces are drawn for point clouds"
            )
        if recipe.objects > len(samples):
            raise DataError(
                f"objects: there are {len(samples)} test samples to look at, not {recipe.objects}"
            )
        # Data sets are often ordered by class: neighbours are of one kind.
        spread = (samples[n * len(samples) // recipe.objects] for n in range(recipe.objects))
        others = [one for one in spread if one.id != sample.id][: recipe.objects - 1]
        return cls(recipe, (sample, *others), tuple(dataset.inputs))

    def seen_by(self, network: nn.Module, role: Literal["student", "teacher"]) -> View:
        """Return the distances of all features to the marked node's, with nine digits."""
        recipe = self.recipe
        found = {
            sample.id: feature_distances(
                network,
                sample,
                inputs_or(network, self.inputs),
                getattr(recipe, role),
                recipe.node,
                getattr(recipe, f"{role}_layout"),
            ).tolist()
            for sample in self.samples
        }
        return {name: [float(f"{one:.9g}") for one in row] for name, row in found.items()}

    def write(self, folder: Path, tap: str, views: dict[str, View]) -> None:
        """Write what a network was seen to make of the samples, by epoch or as ``trained``."""
        drawn, *others = self.samples
        content = {
            "sample": drawn.id,
            "node": self.recipe.node,
            "tap": tap,
            "pos": drawn.pos.tolist(),
            "distances": {when: view[drawn.id] for when, view in views.items()},
            "others": {
                one.id: {when: view[one.id] for when, view in views.items()} for one in others
            },
        }
        write_sealed_json(folder / FEATURE_SPACE, content)

    def write_trained(self, folder: Path, teacher: nn.Module) -> None:
        """Write the view of the trained teacher."""
        self.write(folder, self.recipe.teacher, {"trained": self.seen_by(teacher, "teacher")})


def epochs_looked_at(recipe: FeatureSpaceRecipe, last: int) -> set[int]:
    """Return the epochs to look at in a training; in place of those after its last one, that.

    >>> recipe = FeatureSpaceRecipe(student="a", teacher="b", epochs=[1, 5, 10])
    >>> sorted(epochs_looked_at(recipe, 7))
    [1, 5, 7]
    """
    return {min(epoch, last) for epoch in recipe.epochs}


def epochs_left_out(recipe: FeatureSpaceRecipe, last: int) -> str | None:
    """Say which epochs to look at are after the last one of a training; None where none is.

    >>> recipe = FeatureSpaceRecipe(student="a", teacher="b", epochs=[1, 5, 10])
    >>> epochs_left_out(recipe, 7)
    'feature_space.epochs: 10 is after the last epoch: left out, and epoch 7 is shown'
    """
    late = [str(epoch) for epoch in sorted(recipe.epochs) if epoch > last]
    if not late:
        return None
    verb = "is" if len(late) == 1 else "are"
    return (
        f"feature_space.epochs: {', '.join(late)} {verb} after the last epoch: left out, and epoch "
        f"{last} is shown"
    )


class FeatureSpaceRecorder(Callback):
    """Looks at a student after the epochs of the recipe; in place of later ones, after the last.

    Args:
        space: what to look at.
        folder: of the student.
    """

    def __init__(self, space: FeatureSpace, folder: Path) -> None:
        self.space = space
        self.folder = folder
        self.views: dict[str, View] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the views so far, which a checkpoint keeps."""
        return {"views": self.views}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the views of a checkpoint; one of before has the first sample's alone."""
        drawn = self.space.samples[0].id
        self.views = {
            when: view if isinstance(view, dict) else {drawn: view}
            for when, view in state_dict["views"].items()
        }

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look, where the recipe asks for it."""
        assert isinstance(pl_module, DistillationModule)
        assert trainer.max_epochs is not None
        epoch, recipe = trainer.current_epoch + 1, self.space.recipe
        if epoch in epochs_looked_at(recipe, trainer.max_epochs) and trainer.is_global_zero:
            student = pl_module.distiller.student
            self.views[str(epoch)] = self.space.seen_by(student, "student")
            self.space.write(self.folder, recipe.student, self.views)
