"""A dataset that keeps every law, and for each law one that breaks it."""

import torch

from gkd import AbstractDataset, Sample


def sample(id: str, seed: int, **tensors: torch.Tensor) -> Sample:
    random = torch.Generator().manual_seed(seed)
    made = {
        "x": torch.randn(4, 3, generator=random),
        "edge_index": torch.tensor([[0, 1, 2], [1, 2, 3]]),
        "y": torch.randint(2, (4,), generator=random),
    }
    return Sample(id=id, **{**made, **tensors})


class Tiny(AbstractDataset):
    """Some small graphs."""

    task = "single-label"
    num_features = 3
    num_classes = 2
    inputs = ("x", "edge_index")

    def __init__(self) -> None:
        self.splits = {
            "train": [sample(f"a{i}", i) for i in range(5)],
            "validation": [sample(f"b{i}", 10 + i) for i in range(2)],
            "test": [sample(f"c{i}", 20 + i) for i in range(2)],
        }

    @property
    def train(self):
        return self.splits["train"]

    @property
    def validation(self):
        return self.splits["validation"]

    @property
    def test(self):
        return self.splits["test"]


class OtherTask(Tiny):
    task = "regresion"


class NoTask(Tiny):
    def __init__(self):
        super().__init__()
        self.num_classes = 2.0


class Endless(list):
    def __getitem__(self, index):
        return super().__getitem__(index % len(self))


class NeverStops(Tiny):
    @property
    def train(self):
        return Endless(super().train)


class EmptyTest(Tiny):
    @property
    def test(self):
        return []


class TestsOnTraining(Tiny):
    @property
    def test(self):
        return super().train[:1]


class TestsOnCopies(Tiny):
    def __init__(self):
        super().__init__()
        copied = {name: tensor.clone() for name, tensor in self.train[0].items()}
        self.splits["test"] = [Sample(id="another name", **copied)]


class TestsOnTrainingRows(Tiny):
    rows = {"train": "train_mask", "validation": "val_mask", "test": "test_mask"}  # noqa: RUF012

    def __init__(self):
        masks = {"train_mask": [1, 1, 0, 0], "val_mask": [0, 0, 1, 0], "test_mask": [0, 1, 0, 1]}
        tensors = {name: torch.tensor(mask).bool() for name, mask in masks.items()}
        self.splits = {split: [sample("g", 0, **tensors)] for split in self.rows}


class RowsOfSomeSplits(TestsOnTrainingRows):
    rows = {"train": "train_mask"}  # noqa: RUF012


class UnusedMask(Tiny):
    def __init__(self):
        super().__init__()
        mask = torch.tensor([True, True, False, False])
        self.splits["train"] = [sample(f"a{i}", i, train_mask=mask) for i in range(5)]


class OtherWidth(Tiny):
    num_features = 5


class HoldsNaN(Tiny):
    def __init__(self):
        super().__init__()
        self.splits["train"][0] = sample("nan", 0, x=torch.full((4, 3), torch.nan))


class UnknownClass(Tiny):
    def __init__(self):
        super().__init__()
        self.splits["test"][0] = sample("odd", 7, y=torch.tensor([0, 1, 2, 1]))


class NoLabels(Tiny):
    def __init__(self):
        super().__init__()
        self.splits["test"][0] = Sample(id="bare", x=torch.zeros(4, 3))


class UnlikeSamples(Tiny):
    def __init__(self):
        super().__init__()
        self.splits["train"][1] = sample("wide", 0, pos=torch.zeros(4, 2))


class Noisy(Tiny):
    @property
    def train(self):
        return [sample(s.id, 0, x=s.x + torch.rand(1)) for s in super().train]


class DrawnOnce(Tiny):
    def __init__(self):
        super().__init__()
        self.splits["train"][0] = sample("drawn", 0, x=torch.rand(4, 3))


class DrawsInPassing(Tiny):
    @property
    def train(self):
        torch.rand(1)
        return super().train


class ChangesUnannounced(Tiny):
    epoch = 0

    @property
    def train(self):
        return [sample(s.id, 0, x=s.x + self.epoch) for s in super().train]

    def set_epoch(self, epoch):
        self.epoch = epoch


class NeverChanges(Tiny):
    augmented = True


class ChangesTheTest(Tiny):
    epoch = 0

    @property
    def test(self):
        return [sample(s.id, 0, x=s.x + self.epoch) for s in super().test]

    def set_epoch(self, epoch):
        self.epoch = epoch


class Augments(ChangesUnannounced):
    augmented = True


class OtherClassesPerSeed(Tiny):
    def for_seed(self, seed):
        other = Tiny()
        other.num_classes = 2 + seed
        return other


class DrawnPerSeed(Tiny):
    def for_seed(self, seed):
        return DrawnOnce()


class TestsOnTrainingPerSeed(Tiny):
    def for_seed(self, seed):
        return TestsOnTraining()


class SplitPerSeed(Tiny):
    def for_seed(self, seed):
        other = Tiny()
        other.splits["test"] = [sample(f"seed{seed}", 30 + seed)]
        return other


class HoldsLambda(Tiny):
    def __init__(self):
        super().__init__()
        self.transform = lambda sample: sample


SETTINGS = {"shift": 0.0}


class GlobalSetting(Tiny):
    def __init__(self):
        super().__init__()
        SETTINGS["shift"] = 1.0

    @property
    def train(self):
        return [sample(s.id, 0, x=s.x + SETTINGS["shift"]) for s in super().train]


class Mistyped(Tiny):
    augmentd = True


class SeedsWhenMade(Tiny):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__()


GOOD = Tiny
BROKEN = {
    "says-what-it-is": [OtherTask, NoTask],
    "splits-are-sequences": [NeverStops, EmptyTest],
    "splits-share-no-row": [
        TestsOnTraining,
        TestsOnCopies,
        TestsOnTrainingRows,
        RowsOfSomeSplits,
    ],
    "masks-are-declared": [UnusedMask],
    "samples-fit-the-description": [OtherWidth, HoldsNaN],
    "labels-fit-the-task": [UnknownClass, NoLabels],
    "samples-make-a-batch": [UnlikeSamples],
    "same-sample-each-time": [Noisy],
    "same-data-for-the-same-parameters": [DrawnOnce],
    "global-state-left-alone": [DrawsInPassing, SeedsWhenMade],
    "epochs-change-what-is-declared": [ChangesUnannounced, NeverChanges, ChangesTheTest],
    "seeds-share-the-description": [OtherClassesPerSeed, DrawnPerSeed, TestsOnTrainingPerSeed],
    "pickles": [HoldsLambda],
    "works-in-two-processes": [GlobalSetting],
    "declarations-are-known": [Mistyped],
}
