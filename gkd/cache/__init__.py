"""What teachers say, kept per sample."""

from gkd.cache.teacher_cache import TeacherCache

__all__ = ["TeacherCache"]
