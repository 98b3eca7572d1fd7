"""What memory has no room for: files that are whole, found again, and never another sample's."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from distiller_problems import Network, Recorder, batch_of, distiller_of
from warm_python import warm_python

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.errors import ParameterError

PER_NODE = 4 * (7 + 3)  # float32 features and logits
SIZES = {"a": 4, "b": 1, "c": 6, "d": 3}


class Counting(Network):
    """A network that counts its forward passes."""

    runs = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        return super().forward(x)


def batch(names: str, seed: int = 0) -> gkd.Batch:
    return gkd.collate(
        [
            gkd.Sample(id=name, **vars(batch_of(SIZES[name], seed=seed + ord(name))))
            for name in names
        ]
    )


def teacher(seed: int = 0) -> Counting:
    torch.manual_seed(seed)
    return Counting(7).eval()


def cached(network: Counting, folder: Path, limit_bytes: int = 1, key: str = "") -> gkd.Distiller:
    cache = TeacherCache(limit_bytes, folder, key)
    term = gkd.Term(Recorder(), student="layers.0", teacher="layers.0")
    return distiller_of(network, Network(), term, teacher_cache=cache)


def seen(distiller: gkd.Distiller, data: gkd.Batch) -> gkd.View:
    distiller(data)
    return next(iter(distiller.losses.values())).teacher


def assert_answers(distiller: gkd.Distiller, data: gkd.Batch) -> None:
    view, network = seen(distiller, data), distiller.teachers["teacher"]
    hidden = network.layers[0](data.x)
    torch.testing.assert_close(view.features, hidden, rtol=0, atol=1e-6)
    logits = network.layers[1](network.norm(hidden).relu())
    torch.testing.assert_close(view.logits, logits, rtol=0, atol=1e-6)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_what_does_not_fit_into_memory_goes_to_files(tmp_path: Path) -> None:
    distiller = cached(teacher(), tmp_path, limit_bytes=PER_NODE * (SIZES["a"] + SIZES["b"]))
    for names in ("abcd", "dcba", "ca", "bd", "abcd"):
        assert_answers(distiller, batch(names))
    cache = distiller.teacher_cache
    assert (cache.misses, cache.hits) == (1, 4)
    assert cache.num_bytes == PER_NODE * (SIZES["a"] + SIZES["b"])
    assert cache.num_bytes_in_files == PER_NODE * (SIZES["c"] + SIZES["d"])
    assert len(files(tmp_path)) == 4
    assert not list(tmp_path.glob(".*"))


def test_files_are_found_by_whoever_comes_with_the_same(tmp_path: Path) -> None:
    assert_answers(cached(teacher(), tmp_path), batch("abc"))
    again = cached(teacher(), tmp_path)
    first = seen(again, batch("abc"))
    assert again.teachers["teacher"].runs == 0
    assert (again.teacher_cache.num_bytes, again.teacher_cache.num_samples) == (0, 3)
    direct = cached(teacher(), tmp_path / "other")
    assert torch.equal(first.features, seen(direct, batch("abc")).features)
    assert_answers(again, batch("cb"))  # other company: compared with the teacher
    assert again.teachers["teacher"].runs == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda folder: cached(teacher(1), folder), id="weights"),
        pytest.param(lambda folder: cached(teacher(), folder, key="two"), id="key"),
        pytest.param(lambda folder: cached(teacher().double().float(), folder), id="none"),
        pytest.param(lambda folder: cached(_with_slope(teacher()), folder), id="architecture"),
    ],
)
def test_files_of_another_teacher_are_not_taken(tmp_path, other, request) -> None:
    assert_answers(cached(teacher(), tmp_path, key=""), batch("ab"))
    distiller = other(tmp_path)
    assert_answers(distiller, batch("ab"))
    same = "none" in request.node.name
    assert distiller.teachers["teacher"].runs == (0 if same else 1)
    assert len(files(tmp_path)) == (4 if same else 8)


def _with_slope(network: Counting) -> Counting:
    network.dropout.p = 0.25
    return network


def test_autocast_answers_have_files_of_their_own(tmp_path: Path) -> None:
    assert_answers(cached(teacher(), tmp_path), batch("ab"))
    distiller = cached(teacher(), tmp_path)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert seen(distiller, batch("ab")).features.dtype == torch.bfloat16
        assert seen(distiller, batch("ab")).features.dtype == torch.bfloat16
    assert distiller.teachers["teacher"].runs == 1
    assert seen(distiller, batch("ab")).features.dtype == torch.float32


def test_files_of_other_data_under_the_same_ids_are_written_over(tmp_path: Path) -> None:
    assert_answers(cached(teacher(), tmp_path), batch("ab"))
    for _ in range(2):
        distiller = cached(teacher(), tmp_path)
        assert_answers(distiller, batch("ab", seed=7))
    assert distiller.teachers["teacher"].runs == 0
    assert len(files(tmp_path)) == 4


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _flip_the_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _swap(path: Path) -> None:
    """Put another sample's file in its place."""
    shutil.copy(next(file for file in files(path.parent) if file != path), path)


def _name_another(path: Path) -> None:
    """Change what stands for the samples that the teacher saw together, beside the tensors."""
    content, said = path.read_bytes(), b'company\\": \\"'
    before, _, after = content.partition(said)
    assert after
    other = b"0" if after[:1] != b"0" else b"1"
    path.write_bytes(before + said + other + after[1:])


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _name_another,
        _flip_the_last_bit,
        Path.unlink,
        _swap,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"{}" * 50),
    ],
)
def test_damaged_files_are_made_again(tmp_path, damage: Callable[[Path], object]) -> None:
    assert_answers(cached(teacher(), tmp_path), batch("abc"))
    victims = files(tmp_path)
    whole = [file.read_bytes() for file in victims]
    for victim in victims[::2]:
        damage(victim)
    distiller = cached(teacher(), tmp_path)
    assert_answers(distiller, batch("abc"))
    assert distiller.teachers["teacher"].runs == 1
    assert [file.read_bytes() for file in victims] == whole


def test_files_that_go_while_they_are_in_use_are_made_again(tmp_path: Path) -> None:
    distiller = cached(teacher(), tmp_path)
    assert_answers(distiller, batch("abc"))
    files(tmp_path)[0].unlink()
    for _ in range(2):
        assert_answers(distiller, batch("abc"))
    assert distiller.teachers["teacher"].runs == 2
    assert distiller.teacher_cache.num_bytes_in_files == PER_NODE * 11


def test_a_file_is_as_small_in_large_company_as_alone(tmp_path: Path) -> None:
    def size(number: int) -> int:
        folder = tmp_path / str(number)
        drawn = vars(batch_of(2, seed=0))
        samples = [gkd.Sample(id=f"{i} of a long name", **drawn) for i in range(number)]
        cached(teacher(), folder)(gkd.collate(samples))
        return sum(file.stat().st_size for file in files(folder))

    assert size(100) < 1.1 * 100 * size(1)


def test_a_full_disk_leaves_the_teacher_running(tmp_path, monkeypatch) -> None:
    free = SimpleNamespace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    distiller = cached(teacher(), tmp_path)
    with pytest.warns(UserWarning, match=r"full at 0 samples .*and no room on the disk of"):
        assert not distiller.remember(batch("ab"))
    assert_answers(distiller, batch("ab"))
    assert not files(tmp_path)
    free.free = 2**31
    assert distiller.remember(batch("ab"))
    assert_answers(distiller, batch("ab"))
    assert distiller.teachers["teacher"].runs == 3


def test_a_folder_that_cannot_be_written_leaves_the_teacher_running(tmp_path: Path) -> None:
    distiller = cached(teacher(), tmp_path / "file")
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="no room on the disk"):
        assert_answers(distiller, batch("ab"))
    assert_answers(distiller, batch("ab"))
    assert distiller.teachers["teacher"].runs == 2


@pytest.mark.parametrize("below", ["", "cache", "deep/cache"])
def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ParameterError, match=rf"^folder: {re.escape(str(file))} is not a folder$"):
        TeacherCache(10, file / below)
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_that_leads_nowhere_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ParameterError, match=r"folder: .*link is not a folder"):
        TeacherCache(10, str(tmp_path / "link"))


def test_a_folder_and_a_link_to_one_will_do(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("folder", "link", "link/new"):
        assert TeacherCache(10, tmp_path / name).folder == tmp_path / name
    assert not (tmp_path / "folder" / "new").exists()


def test_targets_and_graphs_come_back_from_files(tmp_path: Path) -> None:
    def ring(features: torch.Tensor, batch: torch.Tensor) -> gkd.Graph:
        nodes = torch.arange(len(features))
        return gkd.Graph(torch.stack([nodes, nodes]), len(features))

    def made(limit_bytes: int) -> gkd.Distiller:
        terms = [
            gkd.Term("lsp", student="layers.0", teacher="layers.0", params={"kernel": "linear"}),
            gkd.Term("lsp", student="layers.0", teacher="layers.0", teacher_graph=ring),
        ]
        torch.manual_seed(1)
        cache = TeacherCache(limit_bytes, tmp_path)
        return distiller_of(network, Network().eval(), *terms, teacher_cache=cache)

    network = teacher()
    filed, kept = made(1), made(2**20)
    for names in ("abcd", "dcba", "bd"):
        ours, theirs = (
            {name: value.item() for name, value in distiller(batch(names)).terms.items()}
            for distiller in (filed, kept)
        )
        assert ours == theirs
    assert (filed.teacher_cache.misses, filed.teacher_cache.num_bytes) == (1, 0)


PROGRAM = """
import sys, torch
sys.path[:0] = sys.argv[2:]
torch.set_num_threads(1)
from pathlib import Path
from test_teacher_cache_files import assert_answers, batch, cached, teacher
distiller = cached(teacher(), Path(sys.argv[1]))
for _ in range(20):
    for names in ("abcd", "dcba", "ca", "bd"):
        assert_answers(distiller, batch(names))
    distiller.teacher_cache.clear()
"""


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    own, shared = Path(__file__).parents[:2]
    command = [*warm_python(), "-c", PROGRAM, str(tmp_path), str(own), str(shared)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=300)[1] == ""
        assert process.returncode == 0
    assert len(files(tmp_path)) == 8
    assert not list(tmp_path.glob(".*"))
    distiller = cached(teacher(), tmp_path)
    seen(distiller, batch("abcd"))
    assert distiller.teachers["teacher"].runs == 0
