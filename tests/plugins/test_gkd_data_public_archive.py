import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gkd import DataError
from gkd_data import public_archive
from gkd_data.public_archive import PublicArchive

CONTENT = bytes(range(256)) * 20_000  # several chunks
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Site(BaseHTTPRequestHandler):
    """Serves CONTENT: whole, cut short, with another length or none, too late, or not at all."""

    timeout = 60.0  # the client's own, shorter one is the default of this process

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/silent":
            self.rfile.read(1)  # until the client hangs up
            return
        if self.path == "/garbled":
            self.wfile.write(b"no HTTP\r\n\r\n")
            return
        self.send_response(200)
        if self.path != "/unsized":
            length = "long" if self.path == "/unmeasured" else str(len(CONTENT))
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/short" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server that is gone when it is closed: every request answered, every socket closed."""

    daemon_threads = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def fetch(url: str, destination: Path, sha256: str = DIGEST) -> None:
    PublicArchive("some data", url, sha256).download(destination)


@pytest.mark.parametrize("path", ["/whole", "/unsized"])
def test_writes_the_whole_file(site: str, tmp_path: Path, path: str) -> None:
    destination = tmp_path / "file.zip"
    fetch(site + path, destination)
    assert destination.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [destination]


def test_replaces_a_file_only_when_all_is_well(site: str, tmp_path: Path) -> None:
    destination = tmp_path / "file.zip"
    destination.write_bytes(b"old")
    with pytest.raises(DataError):
        fetch(site + "/short", destination)
    assert destination.read_bytes() == b"old"
    fetch(site + "/whole", destination)
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/short", "SHA-256|IncompleteRead"),
        ("/missing", "404"),
        ("/garbled", "no HTTP"),
        ("/unmeasured", "invalid literal"),
    ],
)
def test_leaves_nothing_behind_when_it_fails(
    site: str, tmp_path: Path, path: str, reason: str
) -> None:
    destination = tmp_path / "file.zip"
    with pytest.raises(DataError, match=reason) as caught:
        fetch(site + path, destination)
    assert list(tmp_path.iterdir()) == []
    assert f"Get {site}{path} by other means and put it at {destination}" in str(caught.value)


def test_reports_both_digests_of_a_file_that_is_not_the_expected_one(
    site: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="is not the published file by its SHA-256") as caught:
        fetch(site + "/whole", tmp_path / "file.zip", "f" * 64)
    assert DIGEST in str(caught.value)
    assert "f" * 64 in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_explains_a_server_that_cannot_be_reached(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file.zip"
        with pytest.raises(DataError, match=f"cannot download {url}") as caught:
            fetch(url, tmp_path / "file.zip")
    assert "by other means" in str(caught.value)


def test_explains_a_host_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot download http://nowhere\.invalid/file\.zip"):
        fetch("http://nowhere.invalid/file.zip", tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_does_not_wait_for_a_silent_server_for_ever(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_archive, "_TIMEOUT", 0.2)
    socket.setdefaulttimeout(60.0)
    try:
        with pytest.raises(DataError, match="timed out"):
            fetch(site + "/silent", tmp_path / "file.zip")
        assert socket.getdefaulttimeout() == 60.0
    finally:
        socket.setdefaulttimeout(None)
    assert list(tmp_path.iterdir()) == []


def test_explains_a_destination_that_is_a_folder(site: str, tmp_path: Path) -> None:
    (tmp_path / "file.zip").mkdir()
    with pytest.raises(DataError, match=r"file\.zip is a folder"):
        fetch(site + "/whole", tmp_path / "file.zip")
    assert list((tmp_path / "file.zip").iterdir()) == []


@pytest.mark.parametrize("folder", ["mistyped", "mistyped/deep", "file"])
def test_makes_no_folder(site: str, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=f"there is no folder {tmp_path / folder}; make it"):
        fetch(site + "/whole", tmp_path / folder / "file.zip")
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_explains_a_folder_that_must_not_be_written_to(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By a patch, since an administrator may write to any folder.
    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "move", refuse)
    with pytest.raises(DataError, match=r"cannot download .* Permission denied"):
        fetch(site + "/whole", tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing_behind(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "move", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(site + "/whole", tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_others_may_read_what_was_downloaded(site: str, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        fetch(site + "/whole", tmp_path / "file.zip")
    finally:
        os.umask(before)
    assert (tmp_path / "file.zip").stat().st_mode & 0o777 == 0o644
