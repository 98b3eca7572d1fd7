"""Laws of models: learning, repeating, resuming."""

import io

import torch
from torch import Tensor, nn

from gkd.data import Batch
from gkd.testing.law import law, require
from gkd.testing.laws.comparison import require_close, require_finite
from gkd.testing.laws.gradients import require_right_gradient
from gkd.testing.laws.model_calls import (
    evaluating,
    generic_batch,
    logits_of,
    model_batches,
    training,
    with_tensors,
)
from gkd.testing.subject import Subject


@law("model")
def gradient_reaches_every_parameter(subject: Subject) -> None:
    """A parameter without a gradient never learns, and stalls training in several processes."""
    model = training(subject)
    logits = logits_of(model, generic_batch(subject))
    torch.autograd.backward(logits.square().sum())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"the parameter {name} gets no gradient")
            require_finite(parameter.grad, f"the gradient of {name}")


@law(
    "model",
    problems=lambda subject: model_batches(subject, smooth=True, max_nodes=4, max_samples=2),
    share=0.2,
)
def gradcheck_in_float64(subject: Subject, batch: Batch) -> None:
    """A gradient that is not the slope trains towards something else."""
    model = evaluating(subject)
    named = {name: tensor for name, tensor in batch.items() if tensor.is_floating_point()}

    def logits(*tensors: Tensor) -> Tensor:
        return logits_of(model, with_tensors(batch, dict(zip(named, tensors, strict=True))))

    require_right_gradient(logits, list(named.values()))


@law("model")
def deterministic_under_a_seed(subject: Subject) -> None:
    """A run can be repeated only if everything random comes from its seed."""
    batch = generic_batch(subject)
    first, second = (logits_of(training(subject, seed=1), batch, seed=2) for _ in range(2))
    require(torch.equal(first, second), "the same seed gives other logits")


def trained(subject: Subject, batch: Batch) -> nn.Module:
    """Return a model that has made a step: its state is not that of a new one."""
    model = training(subject)
    torch.autograd.backward(logits_of(model, batch).square().mean())
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    model.zero_grad()
    return model.eval()


@law("model")
def state_dict_round_trip(subject: Subject) -> None:
    """A resumed run continues from what the checkpoint holds, and from nothing else."""
    batch = generic_batch(subject)
    model = trained(subject, batch)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    resumed = evaluating(subject, seed=1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    expected = logits_of(model, batch)
    require_close(logits_of(resumed, batch), expected, "after loading the state dict")
