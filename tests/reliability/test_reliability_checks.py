"""That the checks of ``make reliability`` count, and find what is broken."""

from random import Random

from flipped_bits import flipped_bits
from safetensors.torch import load_file, save_file
from trials import results


def test_flipped_bits_are_noticed_and_so_are_other_results(tmp_path):
    found = flipped_bits(2, Random(5), tmp_path)
    assert (found.tried, found.broken) == (2, [])
    assert sum(found.figures.values()) == 2
    whole = results(tmp_path / "finished")
    assert len(whole) == 3
    path = tmp_path / "finished" / "teacher" / "weights.safetensors"
    tensors = load_file(path)
    tensors["out.bias"] += 1e-6
    save_file(tensors, path)
    other = results(tmp_path / "finished")
    assert [place for place in whole if whole[place] != other[place]] == ["teacher"]


def test_other_results_without_a_word_are_broken_promises(tmp_path, monkeypatch):
    monkeypatch.setattr("flipped_bits.results", lambda run: object())  # never the same
    found = flipped_bits(1, Random(5), tmp_path)
    assert (len(found.broken), found.figures) == (1, {})
