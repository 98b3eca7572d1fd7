import resource

import pytest

from gkd.functional.memory import free_memory, memory_shortage


def test_a_shortage_is_told_in_words():
    assert memory_shortage(0) is None
    words = memory_shortage(2.0**60)
    assert words is not None
    assert words.startswith("1.02e+03 PiB of memory, of which ")
    assert words.endswith(" are free")


def test_a_limit_of_the_process_counts():
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = free_memory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "getrlimit", lambda which: (2**20, hard))
        assert free_memory() == 0
    assert (soft, hard) == resource.getrlimit(resource.RLIMIT_AS)
    assert before > 2**20
