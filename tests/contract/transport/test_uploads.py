"""Large files as operations: cut, killed, cancelled, replayed; nothing is seen of them before they are whole."""

import hashlib
import io
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from opsflow.errors import Cancelled, Interrupted, TransferFailed
from opsflow.model import Host, Operation
from opsflow.testing import SshdFleet
from opsflow.testing.sshd import sshd_path
from opsflow.transport.ssh import SshTransport

CONTENT = os.urandom(1024 * 1024) * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FORKS = multiprocessing.get_context("forkserver")


@pytest.fixture
def host(tmp_path):
    if sshd_path() is None:
        reason = "sshd is not installed"
        pytest.skip(reason)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with SshdFleet(tmp_path / "fleet", ["one"], first_address=f"127.0.147.{10 + worker}") as fleet:
        host = Host(name="one", connection=fleet.connection("one"))
        found = SimpleNamespace(fleet=fleet, host=host, home=fleet.home("one"), transport=SshTransport(host))
        found.place = found.transport.claim("run-1", 1)
        (found.home / "large").write_bytes(b"old")
        yield found
        found.transport.release()
        found.transport.close()


def operation(epoch=1, **more):
    return Operation(run="run-1", epoch=epoch, attempt="a", number=1, digest="d", **more)


def temporary(host):
    return [path for path in host.home.iterdir() if path.name.startswith(".opsflow-")]


def written(path):
    """Whether a process has the file open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == path:
                return True
        except OSError:
            continue
    return False


def until(holds, seconds=30):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


class Watched(io.BytesIO):
    """The content; when so much of it has been read, something happens, once each."""

    def __init__(self, host, events=()):
        super().__init__(CONTENT)
        self._host = host
        self._events = sorted(events, key=lambda event: event[0])
        self.sent = 0

    def read(self, size=-1):
        assert (self._host.home / "large").read_bytes() == b"old"
        found = super().read(size)
        self.sent += len(found)
        while self._events and self.sent >= self._events[0][0]:
            self._events.pop(0)[1]()
        return found


def cut_when_much_has_arrived(host):
    until(lambda: any(path.stat().st_size > 1024 * 1024 for path in temporary(host)))
    host.fleet.cut("one")


def test_a_cut_upload_goes_on_from_where_it_was(host):
    source = Watched(host, [(len(CONTENT) // 2, lambda: cut_when_much_has_arrived(host))])
    assert host.transport.put(source, "large", digest=DIGEST, op=operation()) == DIGEST
    assert (host.home / "large").read_bytes() == CONTENT
    assert temporary(host) == []
    assert source.sent < len(CONTENT) * 1.5
    assert host.fleet.connections("one") == 2


def test_it_goes_on_as_often_as_it_is_cut(host):
    cuts = [(len(CONTENT) // 5 * n, lambda: cut_when_much_has_arrived(host)) for n in (1, 2, 3, 4)]
    host.transport.put(Watched(host, cuts), "large", digest=DIGEST, op=operation())
    assert (host.home / "large").read_bytes() == CONTENT
    assert temporary(host) == []


@pytest.mark.parametrize("damage", ["other bytes", "gone"])
def test_what_a_cut_has_left_is_not_trusted(host, damage):
    """As a power loss leaves it: of the right length, and nothing in it."""

    def cut():
        cut_when_much_has_arrived(host)
        for path in temporary(host):
            if damage == "gone":
                path.unlink()
            else:
                with path.open("r+b") as file:
                    file.write(bytes(512 * 1024))

    source = Watched(host, [(len(CONTENT) // 2, cut)])
    host.transport.put(source, "large", digest=DIGEST, op=operation())
    assert (host.home / "large").read_bytes() == CONTENT
    assert temporary(host) == []


def put_and_say(host, gate, place, epoch):
    transport = SshTransport(host)
    transport.claim("run-1", epoch)

    class Telling(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > len(CONTENT) // 2:
                gate.set()
                time.sleep(60)
            return super().read(size)

    transport.put(Telling(CONTENT), "large", digest=DIGEST, op=operation(epoch, place=place))


def kill_in_the_middle(host):
    """A controller that is killed while it sends."""
    gate = FORKS.Event()
    process = FORKS.Process(target=put_and_say, args=(host.host, gate, "", 1))
    process.start()
    assert gate.wait(60)
    until(lambda: temporary(host))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (left,) = temporary(host)
    until(lambda: not written(left))
    assert (host.home / "large").read_bytes() == b"old"


def test_what_a_killed_controller_has_left_half_done_is_removed_by_the_next_try(host):
    kill_in_the_middle(host)
    host.transport.put(io.BytesIO(CONTENT), "large", digest=DIGEST, op=operation(place=host.place))
    assert (host.home / "large").read_bytes() == CONTENT
    assert temporary(host) == []


def test_what_a_killed_controller_has_left_half_done_is_removed_by_a_fence(host):
    kill_in_the_middle(host)
    host.transport.fence(operation())
    until(lambda: temporary(host) == [])
    with pytest.raises(Interrupted, match="attempt was ended"):
        host.transport.put(io.BytesIO(CONTENT), "large", digest=DIGEST, op=operation(place=host.place))
    assert (host.home / "large").read_bytes() == b"old"
    assert temporary(host) == []


def test_what_a_killed_controller_has_left_half_done_is_removed_with_the_run(host):
    kill_in_the_middle(host)
    host.transport.release()
    until(lambda: temporary(host) == [])


def test_a_cancelled_upload_stops(host):
    threads = []

    def cancel():
        threads.append(threading.Thread(target=host.transport.cancel, args=(operation(),)))
        threads[0].start()
        until(lambda: list(host.home.glob(".opsflow/ops/*/run-1/*.no")))

    source = Watched(host, [(len(CONTENT) // 2, cancel)])
    with pytest.raises(Cancelled):
        host.transport.put(source, "large", digest=DIGEST, op=operation())
    threads[0].join()
    assert source.sent < len(CONTENT)
    assert (host.home / "large").read_bytes() == b"old"
    until(lambda: temporary(host) == [])


def test_a_replay_sends_nothing_of_what_is_in_place(host):
    host.transport.put(io.BytesIO(CONTENT), "large", digest=DIGEST, op=operation())
    (host.home / "large").write_bytes(b"edited since")

    class Unread(io.BytesIO):
        def read(self, size=-1):
            raise AssertionError("nothing is to be sent")

    assert host.transport.put(Unread(CONTENT), "large", digest=DIGEST, op=operation(place=host.place)) == DIGEST
    assert (host.home / "large").read_bytes() == b"edited since"


POLL = """
import os, sys
home, seen = sys.argv[1], set()
print("ready", flush=True)
while not os.path.exists(home + "/through"):
    for name in os.listdir(home):
        if name.startswith(".opsflow-") or name == "large":
            try:
                found = os.stat(home + "/" + name)
            except FileNotFoundError:
                continue
            seen.add((name == "large", found.st_mode & 0o7777, found.st_size))
print(repr(seen))
"""


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
def test_until_it_is_whole_nobody_else_may_read_it(host, mode):
    (host.home / "large").chmod(0o600)
    poll = subprocess.Popen([sys.executable, "-c", POLL, host.home], stdout=subprocess.PIPE, text=True)
    poll.stdout.readline()
    host.transport.put(io.BytesIO(CONTENT), "large", mode=mode, digest=DIGEST, op=operation())
    (host.home / "through").touch()
    seen = eval(poll.communicate(timeout=60)[0])
    partly = {found for in_place, found, size in seen if not in_place and size < len(CONTENT)}
    assert partly == {0o600}
    assert {(found, size) for in_place, found, size in seen if in_place} <= {(0o600, 3), (mode, len(CONTENT))}
    assert stat.S_IMODE((host.home / "large").stat().st_mode) == mode


def test_a_digest_of_something_else_changes_nothing(host):
    with pytest.raises(TransferFailed, match="not what was sent"):
        host.transport.put(io.BytesIO(CONTENT), "large", digest="0" * 64, op=operation())
    assert (host.home / "large").read_bytes() == b"old"
    assert temporary(host) == []


def test_a_connection_that_carries_much_is_not_asked_for_new_keys(host, caplog):
    """While paramiko waits for them, the end of a command makes it wait for itself."""
    (host.home / "file").write_bytes(CONTENT[: 64 * 1024 * 1024])
    with caplog.at_level("DEBUG", "paramiko"):
        for _ in range(9):
            host.transport.get("file")
    assert "Rekeying" not in caplog.text
    assert host.fleet.connections("one") == 1


@pytest.mark.parametrize(("size", "sessions"), [(64 * 1024, 0), (64 * 1024 + 1, 1)])
def test_a_small_file_is_read_without_a_session_of_its_own(host, size, sessions):
    (host.home / "file").write_bytes(CONTENT[:size])
    before = host.fleet.log("one").count("Starting session")
    assert host.transport.get("file") == CONTENT[:size]
    assert host.fleet.log("one").count("Starting session") - before == sessions
