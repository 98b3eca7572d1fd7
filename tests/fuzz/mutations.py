"""Damage to files: of any bytes, and such as only one who knows the format can do."""

import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence

import h5py
import numpy as np

Mutation = Callable[[random.Random, bytes], bytes]

_LONG = "7" * 5000
_LARGEST = 2**26  # bytes
_NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "3",
        "-0.0",
        "0.5",
        "1e-320",
        "1e38",
        "1e39",
        "1e300",
        "1e308",
        "-1e308",
    ),
    *("1e400", "nan", "NaN", "inf", "-inf", "Infinity", "1.#QNAN", "1,5", "0x10", "1_000", "1e"),
    *("127", "255", "256", "32768", "65536", "1000000", "1000000000", "2147483647", "2147483648"),
    *("4294967296", "9223372036854775807", "9223372036854775808", "-9223372036854775809"),
    *("18446744073709551616", "100000000000000000000000", _LONG, "-" + _LONG, "0." + _LONG),
    *("0x" + "f" * 5000, "true", "null", '""', "[]", "{}", "", "x", "\u0663"),
)
_WORDS = (
    *(
        b"\x00",
        b"\xff",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"\r\n",
        b"\x85",
        b"\x0b",
        b"\x1a",
    ),
    *(
        b"\xe2\x80\xa8",
        b"\xed\xa0\x80",
        b"\xc3",
        b'"',
        b"'",
        b"\\",
        b"#",
        b",",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(b"[" * 5000, b"{" * 5000, b'[{"a":' * 3000, b"\x1b[2J", b"\\ud800", b"%s", b"NaN", b"-"),
)
_SIZES = (
    0,
    1,
    2,
    255,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63,
    2**64 - 1,
)
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def _span(rng: random.Random, content: bytes) -> slice:
    start = rng.randrange(len(content) + 1)
    return slice(start, start + min(len(content), int(2 ** rng.uniform(0, 10))))


def flip_bit(rng: random.Random, content: bytes) -> bytes:
    if not content:
        return content
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_bytes(rng: random.Random, content: bytes) -> bytes:
    span = _span(rng, content)
    return content[: span.start] + rng.randbytes(rng.randrange(1, 9)) + content[span.start + 8 :]


def truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def behead(rng: random.Random, content: bytes) -> bytes:
    return content[rng.randrange(len(content) + 1) :]


def remove(rng: random.Random, content: bytes) -> bytes:
    span = _span(rng, content)
    return content[: span.start] + content[span.stop :]


def repeat(rng: random.Random, content: bytes) -> bytes:
    span = _span(rng, content)
    return content[: span.stop] + content[span] * rng.choice((1, 2, 40)) + content[span.stop :]


def exchange(rng: random.Random, content: bytes) -> bytes:
    one, other = sorted((_span(rng, content), _span(rng, content)), key=lambda span: span.start)
    end = min(one.stop, other.start)
    middle = content[end : other.start]
    return (
        content[: one.start]
        + content[other]
        + middle
        + content[one.start : end]
        + content[other.stop :]
    )


def insert(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(_WORDS) + content[at:]


def set_size(rng: random.Random, content: bytes) -> bytes:
    """Write a size where a binary format may have one."""
    width, order = rng.choice("BHIQ"), rng.choice("<>")
    size = rng.choice(_SIZES) % 2 ** (8 * struct.calcsize(order + width))
    word = struct.pack(order + width, size)
    at = rng.randrange(max(1, len(content) - len(word)))
    return content[:at] + word + content[at + len(word) :]


def set_float(rng: random.Random, content: bytes) -> bytes:
    """Write a number where an array of floats may have one."""
    form = rng.choice(("<f", "<d", ">f", ">d"))
    number = rng.choice((0.0, 1e30, -1e38, float("nan"), float("inf"), -float("inf"), 1e-40))
    word = struct.pack(form, number)
    at = rng.randrange(max(1, len(content) // len(word))) * len(word)
    return content[:at] + word + content[at + len(word) :]


def set_number(rng: random.Random, content: bytes) -> bytes:
    """Replace a number of a text."""
    places = list(_NUMBER.finditer(content))
    if not places:
        return insert(rng, content)
    start, end = rng.choice(places).span()
    return content[:start] + rng.choice(_NUMBERS).encode() + content[end:]


def move_line(rng: random.Random, content: bytes) -> bytes:
    """Remove, repeat or exchange lines."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            lines[one:one] = [lines[one]] * rng.choice((2, 100, 2000))
    return b"".join(lines)


def encode(rng: random.Random, content: bytes) -> bytes:
    """Write a text in another encoding, or with other ends of lines."""
    text = content.decode("utf-8", errors="replace")
    match rng.randrange(6):
        case 0:
            return b"\xef\xbb\xbf" + content
        case 1:
            return text.encode("utf-16")
        case 2:
            return text.encode("utf-32")
        case 3:
            return content.replace(b"\n", b"\r")
        case 4:
            return content.replace(b"\n", b"\r\n")
        case _:
            return text.replace("\n", "\u2028").encode()


def replace_word(rng: random.Random, content: bytes) -> bytes:
    """Replace a name by another one of the text, or write it otherwise."""
    words = list(re.finditer(rb"[A-Za-z_]\w*", content))
    if not words:
        return content
    word, other = rng.choice(words), rng.choice(words)[0]
    new = rng.choice(
        (other, word[0].upper(), word[0] + b"x", word[0][:-1], b"", b"sha256", word[0] * 99)
    )
    return content[: word.start()] + new + content[word.end() :]


BYTES: tuple[Mutation, ...] = (
    *(flip_bit, flip_bit, set_bytes, truncate, behead, remove, repeat, exchange, insert),
    *(set_size, set_float),
)
TEXT: tuple[Mutation, ...] = (
    *(set_number, set_number, set_number, move_line, encode, replace_word, insert),
    *(flip_bit, truncate, remove, repeat, exchange),
)


def json_value(rng: random.Random, content: bytes) -> bytes:
    """Replace, remove, rename or nest a value of a JSON document."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return set_number(rng, content)
    places: list[tuple[object, object]] = []

    def walk(value: object) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            places.append((value, key))
            if isinstance(part, dict | list):
                walk(part)

    if not isinstance(document, dict | list) or not document:
        return set_number(rng, content)
    walk(document)
    holder, key = rng.choice(places)
    match rng.randrange(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice([str(k) for _, k in places]) + rng.choice(("", "x"))] = holder.pop(
                key
            )
        case 2:
            other, place = rng.choice(places)
            holder[key] = other[place] if isinstance(other[place], str | int | float) else None
        case _:
            holder[key] = "\x00HOSTILE\x00"
    text = json.dumps(document)
    hostile = rng.choice(
        (
            *_NUMBERS,
            "[" * 3000 + "]" * 3000,
            '{"a":' * 3000 + "0" + "}" * 3000,
            '"\\ud800"',
            '"\\u001b[2J"',
            "[[]]",
            '{"": []}',
            "[1e999]",
        )
    )
    return text.replace(json.dumps("\x00HOSTILE\x00"), hostile or "null").encode()


def npy_header(rng: random.Random, content: bytes) -> bytes:
    """Change what the header of an NPY file says, and make its length agree."""
    if not content.startswith(b"\x93NUMPY") or len(content) < 12:
        return flip_bit(rng, content)
    size = struct.unpack("<H", content[8:10])[0]
    header, body = content[10 : 10 + size], content[10 + size :]
    if rng.random() < 0.5:
        kind = rng.choice(
            (
                "<f2",
                "<f4",
                "<f8",
                ">f8",
                "<c16",
                "<i1",
                "<i8",
                "<u8",
                "|b1",
                "|O",
                "<U5",
                "|S3",
                "<M8[s]",
                "<m8",
                "|V8",
                "<f16",
                "<f3",
            )
        )
        header = re.sub(rb"'[<>|=]\w+'", f"'{kind}'".encode(), header)
    else:
        header = rng.choice((set_number, replace_word, flip_bit, insert))(rng, header)
    return content[:8] + struct.pack("<H", len(header) % 65536) + header + body


def npy(rng: random.Random, content: bytes) -> bytes:
    """Change an array: its header, its values, its type or its shape."""
    if rng.random() < 0.4:
        return npy_header(rng, content)
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if rng.random() < 0.6 and array.size:
        array = array.copy()
        with np.errstate(all="ignore"):
            number = rng.choice((0, -1, 1, 2, 7, 2**31, 1e30, 1e39, 1e300, np.nan, np.inf, 2**62))
            array.flat[rng.randrange(array.size)] = np.array(number).astype(array.dtype)
    elif rng.random() < 0.5:
        kind = rng.choice(("f2", "f4", "f8", "i1", "i8", "u8", "b1", "c8", "U4", "S2", "g"))
        with np.errstate(all="ignore"):
            array = array.astype(kind)
    else:
        match rng.randrange(5):
            case 0:
                array = array[: rng.randrange(len(array) + 1)] if array.ndim else array[None]
            case 1:
                array = np.concatenate([array, array]) if array.ndim else array[None]
            case 2:
                array = array[..., None]
            case 3:
                array = array.T
            case _:
                array = array.reshape(-1)
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def safetensors(rng: random.Random, content: bytes) -> bytes:
    """Change the header of a safetensors file, and make its length agree."""
    if len(content) < 8:
        return content
    size = struct.unpack("<Q", content[:8])[0]
    header, body = content[8 : 8 + size], content[8 + size :]
    kinds = (b"F64", b"F32", b"F16", b"BF16", b"I64", b"I32", b"U8", b"BOOL", b"F8_E4M3", b"X")
    if rng.random() < 0.3:
        header = re.sub(rb'"(?:F|I|BF|U)\d+"', b'"' + rng.choice(kinds) + b'"', header, count=1)
    elif rng.random() < 0.6:
        header = json_value(rng, header)
    else:
        body = rng.choice((set_float, set_float, flip_bit, truncate, exchange))(rng, body)
    return struct.pack("<Q", len(header)) + header + body


def hdf5(rng: random.Random, content: bytes) -> bytes:
    """Write the data sets ``data`` and ``label`` of an HDF5 file in one of its many other ways."""
    with h5py.File(io.BytesIO(content), "r") as file:
        # To read a virtual one of an earlier mutation may end the process.
        if any(file[key].is_virtual for key in ("data", "label")):
            return rng.choice(BYTES)(rng, content)
        data, label = file["data"][()], file["label"][()]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=rng.choice(("earliest", "latest"))) as file:
        for key, array in (("data", data), ("label", label)):
            if rng.random() < 0.4:
                file.create_dataset(key, data=array)
            else:
                _hdf5_dataset(rng, file, key, array)
    return buffer.getvalue()


def _hdf5_dataset(rng: random.Random, file: h5py.File, key: str, array: np.ndarray) -> None:
    match rng.randrange(14):
        case 0:
            layout = h5py.VirtualLayout(array.shape, array.dtype)
            layout[...] = h5py.VirtualSource("/etc/passwd", "data", array.shape)
            file.create_virtual_dataset(key, layout)
        case 1:
            file.create_dataset(key, array.shape, array.dtype, external=[("/etc/passwd", 0, 10**6)])
        case 2:
            file[key] = rng.choice(
                (h5py.ExternalLink("/etc/passwd", "a"), h5py.SoftLink("/nowhere"))
            )
        case 3:
            shape = tuple(
                rng.choice((0, 1, 3, 2**20, 2**31, 2**40)) for _ in range(rng.randrange(4))
            )
            if shape and np.prod([float(n) for n in shape]) < 2**62:
                file.create_dataset(
                    key,
                    shape,
                    array.dtype,
                    chunks=tuple(min(n, 64) or 1 for n in shape),
                    maxshape=(None,) * len(shape),
                )
        case 4:
            file.create_dataset(
                key, data=array.astype(rng.choice(("f2", "f8", "i8", "u1", "c8", "b1")))
            )
        case 5:
            file.create_dataset(key, data="text")
        case 6:
            file.create_dataset(key, data=np.zeros(3, [("a", "f4"), ("b", "i8")]))
        case 7:
            file.create_dataset(key, data=h5py.Empty("f4"))
        case 8:
            file.create_group(key)
        case 9:
            file.create_dataset(
                key,
                data=array,
                chunks=True,
                compression=rng.choice(("gzip", "lzf")),
                shuffle=True,
                fletcher32=True,
            )
        case 10:
            changed = array.copy()
            with np.errstate(all="ignore"):
                number = rng.choice((0, -1, 300, 1e30, 1e38, np.nan, np.inf))
                changed.flat[rng.randrange(changed.size)] = np.array(number).astype(changed.dtype)
            file.create_dataset(key, data=changed)
        case 11:
            file.create_dataset(key, data=array.reshape(-1))
        case 12:
            file.create_dataset(key, (3,), h5py.vlen_dtype("f4"))
        case _:
            file.create_dataset(
                key, (2**16, 1024, 3), "f4", chunks=(2**16, 8, 3), compression="gzip", fillvalue=0.5
            )


def members(content: bytes) -> dict[str, bytes] | None:
    """Return what a zip archive holds, None where it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return None


def zipped(by_suffix: Mapping[str, Sequence[Mutation]]) -> Mutation:
    """Return what changes a member of a zip archive, by the end of its name, or packs it anew."""

    def change(rng: random.Random, content: bytes) -> bytes:
        held = members(content)
        if not held:
            return rng.choice(BYTES)(rng, content)
        name = rng.choice(sorted(held))
        method, pack = zipfile.ZIP_STORED, dict(held)
        match rng.randrange(8):
            case 0:
                del pack[name]
            case 1:
                pack[
                    rng.choice(
                        (f"more/{name}", name.upper(), f"../{name}", f"/{name}", "\udcff"[:0] + "ü")
                    )
                ] = pack.pop(name)
            case 2:
                pack[name] = b"\0" * rng.choice((10**4, 10**6, 3 * 10**7))
                method = zipfile.ZIP_DEFLATED
            case 3:
                pack[name] = pack[rng.choice(sorted(held))]
            case _:
                ends = [end for end in by_suffix if name.endswith(end)]
                pack[name] = rng.choice(by_suffix[ends[0]] if ends else BYTES)(rng, pack[name])
        method = method or rng.choice(
            (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
        )
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for key, value in pack.items():
                archive.writestr(key, value)
        return buffer.getvalue()

    return change


def zip_entry(rng: random.Random, content: bytes) -> bytes:
    """Change one field of a header in a zip archive."""
    marks = [m.start() for m in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", content)]
    if not marks:
        return flip_bit(rng, content)
    at = rng.choice(marks) + rng.randrange(4, 46)
    return (
        content[:at]
        + rng.choice((b"\x00", b"\xff", b"\x63", b"\x01\x08", b"\xff\xff\xff\xff"))
        + content[at + 1 :]
    )


def mutate(rng: random.Random, content: bytes, mutations: Sequence[Mutation]) -> bytes:
    """Apply one to three mutations, to no more than readers may take memory for."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        try:
            content = rng.choice(mutations)(rng, content)
        except Exception:  # not everything can be done to what an earlier one has left
            content = rng.choice(BYTES)(rng, content)
        content = content[:_LARGEST]
    return content


# What is still a recipe goes farther.
RECIPE: tuple[Mutation, ...] = (*(set_number,) * 8, replace_word, move_line, flip_bit)
JSON = (json_value, json_value, json_value, *TEXT)
NPY = (npy, npy, npy_header, *BYTES)
SAFETENSORS = (safetensors, safetensors, safetensors, *BYTES)
HDF5 = (hdf5, hdf5, *BYTES)
ARRAYS = (zipped({".npy": NPY, ".json": JSON}),) * 3 + (zip_entry, *BYTES)
PICKLED = (zipped({"data.pkl": (*BYTES, set_number)}),) * 2 + (zip_entry, *BYTES)
