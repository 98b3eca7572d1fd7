import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gkd import DataError
from gkd_data.download import Remote, fetch

CONTENT = bytes(range(256)) * 20_000  # several chunks
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Site(BaseHTTPRequestHandler):
    """Serves CONTENT: whole, cut short, without a length, or not at all."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/short" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server that is gone when it is closed: every request answered, every socket closed."""

    daemon_threads = False


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


@pytest.mark.parametrize("path", ["/whole", "/unsized"])
def test_writes_the_whole_file(site: str, tmp_path: Path, path: str) -> None:
    destination = tmp_path / "made" / "file.zip"
    fetch(Remote(site + path, DIGEST), destination)
    assert destination.read_bytes() == CONTENT
    assert list(destination.parent.iterdir()) == [destination]


def test_replaces_a_file_only_when_all_is_well(site: str, tmp_path: Path) -> None:
    destination = tmp_path / "file.zip"
    destination.write_bytes(b"old")
    with pytest.raises(DataError):
        fetch(Remote(site + "/short", DIGEST), destination)
    assert destination.read_bytes() == b"old"
    fetch(Remote(site + "/whole", DIGEST), destination)
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/short", "SHA-256|incomplete|IncompleteRead"), ("/missing", "404")],
)
def test_leaves_nothing_behind_when_it_fails(
    site: str, tmp_path: Path, path: str, reason: str
) -> None:
    destination = tmp_path / "file.zip"
    with pytest.raises(DataError, match=reason) as caught:
        fetch(Remote(site + path, DIGEST), destination)
    assert list(tmp_path.iterdir()) == []
    assert f"Get {site}{path} by other means and put it at {destination}" in str(caught.value)


def test_reports_both_digests_of_a_file_that_is_not_the_expected_one(
    site: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        fetch(Remote(site + "/whole", "f" * 64), tmp_path / "file.zip")
    assert DIGEST in str(caught.value)
    assert "f" * 64 in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_explains_a_server_that_cannot_be_reached(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file.zip"
        with pytest.raises(DataError, match=f"cannot download {url}") as caught:
            fetch(Remote(url, DIGEST), tmp_path / "file.zip")
    assert "by other means" in str(caught.value)


def test_explains_an_address_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot download nonsense"):
        fetch(Remote("nonsense", DIGEST), tmp_path / "file.zip")


def test_explains_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot download"):
        fetch(Remote("file:///dev/null", DIGEST), tmp_path / "file" / "below" / "file.zip")


def test_an_interrupt_leaves_nothing_behind(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(Remote(site + "/whole", DIGEST), tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_others_may_read_what_was_downloaded(site: str, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        fetch(Remote(site + "/whole", DIGEST), tmp_path / "file.zip")
    finally:
        os.umask(before)
    assert (tmp_path / "file.zip").stat().st_mode & 0o777 == 0o644


def test_folders_that_were_made_for_nothing_go_again(site: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder in ("there", "mistyped/deep"):
        with pytest.raises(DataError):
            fetch(Remote(site + "/missing", DIGEST), tmp_path / folder / "file.zip")
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
