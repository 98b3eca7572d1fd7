"""Features of both networks, channel by channel."""

from torch import Tensor

from gkd import View
from gkd.errors import ParameterError
from gkd.functional.paired_rows import paired_features


def equally_wide(student: View, teacher: View, loss: str) -> tuple[Tensor, Tensor]:
    """Features ``[N, F]`` of both views, the teacher's detached.

    Raises:
        ParameterError: views without features, with different nodes, or of different widths.
    """
    ours, theirs = paired_features(
        student.require_features(loss), teacher.require_features(loss), loss
    )
    if ours.shape[1] != theirs.shape[1]:
        raise ParameterError(
            f"{loss} compares channel by channel: expected features of equal width, got "
            f"{ours.shape[1]} from the student and {theirs.shape[1]} from the teacher; a term can "
            "name a connector, which maps the student's"
        )
    return ours, theirs
