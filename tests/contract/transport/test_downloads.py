"""Files fetched from real hosts, of any size, over links that break."""

import hashlib
import io
import os

import pytest

from opsflow.errors import Cancelled, TransferFailed
from opsflow.model import Host
from opsflow.transport.ssh import SshTransport

CONTENT = os.urandom(1024 * 1024) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Watched(io.BytesIO):
    """What comes; when so much of it has come, something happens, once each."""

    def __init__(self, *events):
        super().__init__()
        self._events = list(events)
        self.came = 0

    def write(self, data):
        self.came += len(data)
        while self._events and self.came >= self._events[0][0]:
            self._events.pop(0)[1]()
        return super().write(data)


@pytest.fixture
def host(fleet):
    host = Host(name="one", connection=fleet.connection("one"))
    transport = SshTransport(host)
    transport.claim("run-1", 1)
    (fleet.home("one") / "large").write_bytes(CONTENT)
    yield transport
    transport.release()
    transport.close()


@pytest.mark.parametrize("size", [0, 1, 65536, 9_000_001])
def test_a_file_of_any_size_is_fetched(shell, size):
    content = os.urandom(1000) * (size // 1000) + b"x" * (size % 1000)
    (shell.home / "file").write_bytes(content)
    into = io.BytesIO()
    assert shell.transport.fetch("file", into) == hashlib.sha256(content).hexdigest()
    assert into.getvalue() == content


@pytest.mark.parametrize("name", ["-n", "with space", "quote'd", "new\nline", "dollar$HOME"])
def test_it_may_have_any_name(shell, name):
    (shell.home / name).write_bytes(b"content")
    into = io.BytesIO()
    shell.transport.fetch(name, into)
    assert into.getvalue() == b"content"


@pytest.mark.parametrize(("name", "why"), [("missing", r"(?i)no such file"), ("/", "is a directory")])
def test_what_cannot_be_read_is_said(shell, name, why):
    with pytest.raises(TransferFailed, match=why):
        shell.transport.fetch(name, io.BytesIO())


def test_a_cut_download_goes_on_from_where_it_was(host, fleet):
    into = Watched(*((len(CONTENT) // 4 * part, lambda: fleet.cut("one")) for part in (1, 2, 3)))
    assert host.fetch("large", into) == DIGEST
    assert into.getvalue() == CONTENT
    assert into.came == len(CONTENT)


def test_after_a_cut_another_file_is_fetched_whole(host, fleet):
    other = CONTENT[::-1]

    def replaced():
        fleet.cut("one")
        (fleet.home("one") / "new").write_bytes(other)
        (fleet.home("one") / "new").replace(fleet.home("one") / "large")

    into = Watched((len(CONTENT) // 2, replaced))
    assert host.fetch("large", into) == hashlib.sha256(other).hexdigest()
    assert into.getvalue() == other


def test_after_a_cut_a_file_that_is_gone_is_said(host, fleet):
    def gone():
        (fleet.home("one") / "large").unlink()
        fleet.cut("one")

    with pytest.raises(TransferFailed, match=r"(?i)no such file"):
        host.fetch("large", Watched((len(CONTENT) // 2, gone)))


def test_it_ends_when_it_is_no_longer_wanted(host, fleet):
    connections = fleet.connections("one")
    into = Watched()

    def check():
        if into.came > len(CONTENT) // 4:
            raise Cancelled("the attempt was cancelled")

    with pytest.raises(Cancelled):
        host.fetch("large", into, check=check)
    assert into.came < len(CONTENT)
    assert host.get("large") == CONTENT
    assert fleet.connections("one") == connections
