"""Teachers: frozen, in evaluation mode, without gradients."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from gkd.errors import ParameterError

SOLE_TEACHER = "teacher"


def named_teachers(
    teacher: nn.Module | Mapping[str, nn.Module], student: nn.Module
) -> dict[str, nn.Module]:
    """Teachers by name, each frozen.

    Raises:
        ParameterError: a teacher is no module, its name is unusable, or it shares sub-modules or
            parameters with the student, which would be frozen with it.
    """
    if isinstance(teacher, nn.Module):
        teacher = {SOLE_TEACHER: teacher}
    if not isinstance(teacher, Mapping):
        raise ParameterError(
            f"teacher: expected a module or a mapping of modules, got {type(teacher).__name__}"
        )
    if not isinstance(student, nn.Module):
        raise ParameterError(f"student: expected a module, got {type(student).__name__}")
    for name, module in teacher.items():
        if not isinstance(name, str) or not name or ":" in name:
            raise ParameterError(
                f"teacher: a name must be a non-empty string without a colon, got {name!r}"
            )
        if not isinstance(module, nn.Module):
            raise ParameterError(
                f"teacher {name!r}: expected a module, got {type(module).__name__}"
            )
        _require_separate(name, module, student)
        module.requires_grad_(False)
        module.eval()
    return dict(teacher)


def teacher_label(name: str, teachers: Mapping[str, nn.Module]) -> str:
    """Return what messages call a teacher."""
    return "teacher" if len(teachers) == 1 else f"teacher {name!r}"


@contextmanager
def answering(teacher: nn.Module) -> Iterator[nn.Module]:
    """Context in which a teacher is in evaluation mode and leaves no gradients."""
    teacher.eval()  # each time: the user's code may have switched it back
    with torch.no_grad():
        yield teacher


def _require_separate(name: str, teacher: nn.Module, student: nn.Module) -> None:
    own = {id(part): path for path, part in (*student.named_modules(), *student.named_parameters())}
    for part in (*teacher.modules(), *teacher.parameters()):
        if id(part) in own:
            raise ParameterError(
                f"teacher {name!r} shares {own[id(part)] or 'itself'!r} with the student, which "
                "freezing the teacher would freeze; give it a copy.deepcopy"
            )
