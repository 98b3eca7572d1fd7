"""What a teacher predicts, as probabilities."""

import torch
from torch import Tensor

from gkd import Task, View, create
from gkd.errors import ParameterError


class Predictions:
    """Probabilities of a teacher's outputs: of C classes, or of each of C labels.

    Args:
        task: says what the outputs mean.
        temperature: that logits are divided by.
        weigher: what messages call its user.

    Raises:
        ParameterError: outputs of the task are no probabilities.
    """

    def __init__(self, task: str | Task, temperature: float, weigher: str) -> None:
        made = task if isinstance(task, Task) else create("task", task)
        self.likelihood = made.likelihood
        self.rows = made.rows
        self.temperature = temperature
        self.weigher = weigher
        if self.likelihood not in ("softmax", "sigmoid"):
            raise ParameterError(
                f"{weigher}: outputs of this task are {self.likelihood}, which says nothing of how "
                "sure the teacher is"
            )

    def of(self, teacher: View) -> Tensor:
        """Return ``[N, 1, C]``, the classes of each row; of labels ``[N, C, 2]``, yes and no."""
        logits = self.rows(teacher.require_logits(self.weigher).detach()) / self.temperature
        if self.likelihood == "sigmoid" or logits.shape[1] == 1:
            return torch.stack([logits.sigmoid(), (-logits).sigmoid()], dim=2)
        return logits.softmax(1).unsqueeze(1)
