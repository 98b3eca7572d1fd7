import zipfile
from pathlib import Path
from unittest import mock

import pytest

from gkd import DataError
from gkd.data.archive import Archive, npy_array
from gkd.functional.memory import in_bytes

CONTENT = b"atoms and bonds " * 8
METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


def packed(place: Path, members: dict[str, bytes], method: str = "deflate") -> Path:
    with zipfile.ZipFile(place, "w", METHODS[method]) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return place


@pytest.mark.parametrize("method", METHODS)
def test_a_flipped_bit_changes_nothing_or_is_explained(tmp_path: Path, method: str) -> None:
    place = packed(tmp_path / "a.zip", {"a.txt": CONTENT}, method)
    whole = place.read_bytes()
    explained = []
    for position in range(0, len(whole), 2):
        damaged = bytearray(whole)
        damaged[position] ^= 0x80
        place.write_bytes(damaged)
        try:
            assert Archive(place, ["a.txt"]).content("a.txt") == CONTENT, position
        except DataError as error:
            explained.append(str(error))
    assert len(explained) > len(whole) / 6
    assert all(message.startswith(str(place)) for message in explained)


def test_a_member_is_found_in_whatever_folder_it_is(tmp_path: Path) -> None:
    members = {"deep/down/a.txt": b"copy", "deep/a.txt": CONTENT, "__MACOSX/deep/a.txt": b"junk"}
    place = packed(tmp_path / "a.zip", members)
    assert Archive(place, ["a.txt"]).content("a.txt") == CONTENT


def test_nothing_is_written_wherever_a_member_wants_to_go(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    place = packed(tmp_path / "in" / "a.zip", {"../out.txt": CONTENT, "/tmp/b.txt": CONTENT})
    archive = Archive(place, ["out.txt", "b.txt"])
    assert archive.content("out.txt") == archive.content("b.txt") == CONTENT
    assert [file.name for file in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_no_more_is_unpacked_than_there_is_memory_for(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("a.txt", bytes(10**6))
    packed = archive.read_bytes()
    directory = packed.index(b"PK\x01\x02")
    for size, message in ((2**32 - 2, "would take 4 GiB of memory, of which"), (10, "CRC")):
        changed = bytearray(packed)
        changed[directory + 24 : directory + 28] = size.to_bytes(4, "little")
        archive.write_bytes(changed)
        with (
            mock.patch("gkd.data.archive.memory_shortage", shortage_of_a_gibibyte),
            pytest.raises(DataError, match=message),
        ):
            Archive(archive, ["a.txt"]).content("a.txt")


def shortage_of_a_gibibyte(num_bytes: int) -> str | None:
    return None if num_bytes < 2**30 else f"{in_bytes(num_bytes)} of memory, of which 1 GiB is free"


def test_lists_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\ntwo".encode())
    assert Archive(tmp_path, ["a.txt"]).lines("a.txt") == ["one", "two"]


def test_a_member_with_a_password_cannot_be_read(tmp_path: Path) -> None:
    place = packed(tmp_path / "a.zip", {"a.txt": CONTENT})
    content = bytearray(place.read_bytes())
    # Bit 0 of the flags of the directory's entry marks a member as encrypted.
    content[content.index(b"PK\x01\x02") + 8] |= 1
    place.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.txt cannot be read: .*password"):
        Archive(place, ["a.txt"]).content("a.txt")


@pytest.mark.parametrize(
    ("files", "listing"),
    [
        ({}, "it has no file. Is it"),
        ({"b": b""}, "it has b. Is it"),
        (dict.fromkeys("hgfedcb", b""), "it has b, c, d, e, f, g and 1 more. Is it"),
    ],
)
def test_says_what_is_missing_and_what_is_there(
    tmp_path: Path, files: dict[str, bytes], listing: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{tmp_path} lacks a, z; {listing}"):
        Archive(tmp_path, ["z", "a"])


@pytest.mark.parametrize(
    "header", [b"{'descr': '<f4', 'fortran_order': False, 'shape': (2", b"'''", b"(" * 300, b"\xff"]
)
def test_a_damaged_header_of_an_array_is_explained(header: bytes) -> None:
    content = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    with pytest.raises(DataError, match=r"a\.npy is not a complete \.npy array"):
        npy_array(content, "a.npy", ndim=1)


def test_a_header_that_is_nested_too_deep_is_no_lack_of_memory() -> None:
    header = b"{'descr': '<f8', 'shape': (5, -7" + b"{" * 4000
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(DataError, match=r"a\.npy: its header is nested too deep") as raised:
        npy_array(content, "a.npy", ndim=2)
    assert raised.value.__cause__ is None


def test_json_that_is_nested_too_deep_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="is not valid JSON"):
        Archive(tmp_path, ["a.json"]).json("a.json")
