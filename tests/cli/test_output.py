"""Output that a command goes on without, in this process."""

import io
import os
import subprocess
import sys

import pytest

from gkd.commands.output import dispensable_output


class Notebook(io.StringIO):
    """Shows what is written to it, and has the file of the process beside."""

    def fileno(self) -> int:
        return 1


@pytest.mark.parametrize(
    "stream", [None, io.StringIO(), Notebook(), io.TextIOWrapper(io.BytesIO())]
)
def test_streams_that_are_no_files_are_left_alone(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    with dispensable_output():
        assert sys.stdout is stream


def test_a_file_is_written_in_order_and_put_back(monkeypatch, tmp_path):
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        print("before")
        with dispensable_output():
            print("ä inside")
            sys.stdout.buffer.write(b"")
        print("after")
        assert sys.stdout is file
    assert (tmp_path / "log").read_text(encoding="utf-8") == "before\nä inside\nafter\n"


def test_what_its_reader_has_left_is_said_once(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with dispensable_output():
            for line in range(3):
                print(line, flush=True)
        print("after", flush=True)
    assert capsys.readouterr().err.count("standard output: Broken pipe; the run goes on") == 1


def test_what_is_left_at_the_end_has_no_reader_either(tmp_path):
    done = tmp_path / "done"
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from gkd.commands.output import dispensable_output\n"
        "sys.stdin.read()\n"
        "with dispensable_output():\n"
        "    print('in a buffer until the end')\n"
        f"Path({str(done)!r}).touch()\n"
    )
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=writer, stderr=writer
    )
    os.close(writer)
    os.close(reader)
    process.communicate(b"")
    assert process.returncode == 0
    assert done.is_file()
