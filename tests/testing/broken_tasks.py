"""A task that keeps every law, and for each law one that breaks it."""

import os

import torch
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection

from gkd import DataError, Task


class Level(Task):
    """Half the mean squared error."""

    likelihood = "gaussian"
    metric = "mse"

    def loss(self, outputs, y):
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        if not y.numel():
            return outputs.sum()
        return 0.5 * (outputs - y.to(outputs.dtype)).square().mean()

    def check(self, outputs, y):
        if not outputs.is_floating_point() or not y.is_floating_point() or y.shape != outputs.shape:
            raise DataError(f"outputs {outputs.dtype}, targets {y.dtype} of shape {list(y.shape)}")
        if not y.isfinite().all():
            raise DataError("a target is not finite")

    def metrics(self, num_classes):
        return MetricCollection({"mse": MeanSquaredError()})


class OfNoKind(Level):
    likelihood = "poisson"


class Elsewhere(Level):
    metric = "accuracy"


class Directionless(MeanSquaredError):
    higher_is_better = None


class WithoutSense(Level):
    def metrics(self, num_classes):
        return MetricCollection({"mse": Directionless()})


class PerRow(Level):
    def loss(self, outputs, y):
        return 0.5 * (outputs - y).square().sum(1)


class MeanOfNothing(Level):
    def loss(self, outputs, y):
        return (outputs - y).square().mean()


class Ranked(Level):
    def loss(self, outputs, y):
        return super().loss(outputs, y) + 0 * outputs.sum() + 0.01 * len(y) * outputs[:1].sum()


class Summed(Level):
    def loss(self, outputs, y):
        return super().loss(outputs, y) * len(y)


class InPlace(Level):
    def loss(self, outputs, y):
        y.add_(1)
        return super().loss(outputs, y)


class Detached(Level):
    def loss(self, outputs, y):
        return super().loss(outputs, y).detach()


class Uphill(Level):
    def loss(self, outputs, y):
        value = super().loss(outputs, y)
        return 2 * value.detach() - value


class TwiceTheSlope(Level):
    def loss(self, outputs, y):
        value = super().loss(outputs, y)
        return 2 * value - value.detach()


class TakesNaN(Level):
    def check(self, outputs, y):
        super().check(outputs, y.nan_to_num())


class RefusesByValueError(Level):
    def check(self, outputs, y):
        if len(y) != len(outputs):
            raise ValueError("lengths differ")
        super().check(outputs, y)


class LeavesOut(Level):
    """Leaves unknown labels out of the loss alone."""

    def loss(self, outputs, y):
        known = y.isfinite().all(1)
        return super().loss(outputs[known], y[known])

    def check(self, outputs, y):
        super().check(outputs, y.nan_to_num())


class OfTheLastBatch(MeanSquaredError):
    def update(self, outputs, y):
        self.reset()
        if len(y):
            super().update(outputs, y)


class Forgets(Level):
    def metrics(self, num_classes):
        return MetricCollection({"mse": OfTheLastBatch()})


class Agreement(MeanAbsoluteError):
    higher_is_better = True


class UpsideDown(Level):
    metric = "agreement"

    def metrics(self, num_classes):
        return MetricCollection({"agreement": Agreement()})


class InHalf(Level):
    def loss(self, outputs, y):
        return 0.5 * (outputs - y.to(outputs.dtype)).square().mean()


class AlwaysSingle(Level):
    def loss(self, outputs, y):
        return super().loss(outputs, y).float()


class OnTheCPU(Level):
    def loss(self, outputs, y):
        return super().loss(outputs * torch.ones(len(outputs), 1), y)


class Unseeded(Level):
    def loss(self, outputs, y):
        return super().loss(outputs, y) + int.from_bytes(os.urandom(4)) / 2**32


class HoldsLambda(Level):
    def __init__(self):
        self.weigh = lambda value: value

    def loss(self, outputs, y):
        return self.weigh(super().loss(outputs, y))


SETTINGS = {"scale": 1.0}


class GlobalSetting(Level):
    def __init__(self):
        SETTINGS["scale"] = 2.0

    def loss(self, outputs, y):
        return super().loss(outputs, y) * SETTINGS["scale"]


class Mistyped(Level):
    targets = "label"


class Draws(Level):
    def loss(self, outputs, y):
        torch.rand(1)
        return super().loss(outputs, y)


GOOD = Level
BROKEN = {
    "says-what-it-is": [OfNoKind, Elsewhere, WithoutSense],
    "finite-and-scalar": [PerRow],
    "no-rows-give-zero": [MeanOfNothing],
    "invariant-to-the-order-of-rows": [Ranked],
    "mean-over-rows": [Summed],
    "inputs-unmodified": [InPlace],
    "gradient-step-lowers-the-loss": [Detached, Uphill],
    "gradcheck-in-float64": [TwiceTheSlope],
    "check-refuses-what-the-loss-cannot-take": [TakesNaN, RefusesByValueError],
    "metrics-take-the-rows-of-the-loss": [LeavesOut],
    "metrics-pool-over-batches": [Forgets],
    "fitting-improves-the-main-metric": [UpsideDown],
    "half-precision": [InHalf],
    "dtype-preserved": [AlwaysSingle],
    "device-preserved": [OnTheCPU],
    "deterministic-under-a-seed": [Unseeded],
    "pickles": [HoldsLambda],
    "works-in-two-processes": [GlobalSetting],
    "declarations-are-known": [Mistyped],
    "global-state-left-alone": [Draws],
}
