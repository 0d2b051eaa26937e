"""Files and input on their way when the connection is cut: they are sent again, since nothing has begun, and read again."""

import io
import os
import threading
import time
from types import SimpleNamespace

import pytest

from opsflow.errors import Unreachable
from opsflow.model import Host, Operation
from opsflow.testing import SshdFleet
from opsflow.testing.sshd import sshd_path
from opsflow.transport.ssh import SshTransport

CONTENT = os.urandom(1024 * 1024) * 24


@pytest.fixture
def host(tmp_path):
    if sshd_path() is None:
        reason = "sshd is not installed"
        pytest.skip(reason)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with SshdFleet(tmp_path / "fleet", ["one"], first_address=f"127.0.145.{100 + worker}") as fleet:
        transport = SshTransport(Host(name="one", connection=fleet.connection("one")))
        transport.claim("run-1", 1)
        yield SimpleNamespace(fleet=fleet, transport=transport, home=fleet.home("one"))
        transport.close()


def op(attempt, epoch=1, **more):
    return Operation(run="run-1", epoch=epoch, attempt=attempt, number=1, digest=attempt, **more)


class Cutting(io.BytesIO):
    """Content of which the connection is cut when this much of it has been read in order to be sent.

    What is read once before, for its checksum, does not count.
    """

    def __init__(self, host, content, times=1):
        super().__init__(content)
        self._host, self._left, self._passes, self.cuts = host, times, 0, 0

    def read(self, size=-1):
        found = super().read(size)
        if self.tell() >= len(CONTENT) // 2 > self.tell() - len(found):
            self._passes += 1
            if self._passes > 1 and self.cuts < self._left:
                self._host.fleet.cut("one")
                self.cuts += 1
        return found


def test_a_file_whose_sending_is_cut_is_sent_again_and_put_once(host):
    content = Cutting(host, CONTENT, times=2)
    host.transport.put(content, "large", op=op("a"))
    assert content.cuts == 2
    assert (host.home / "large").read_bytes() == CONTENT
    assert [path.name for path in host.home.iterdir() if path.name.startswith(".opsflow-")] == []


def test_input_whose_sending_is_cut_is_whole_when_the_command_begins(host):
    through, cuts = threading.Event(), []

    def cut():
        while not through.wait(0.02):
            partial = [path for path in (host.home / ".opsflow").rglob("*") if path.name.startswith(".opsflow-")]
            if partial and partial[0].stat().st_size > 1024 * 1024:
                host.fleet.cut("one")
                cuts.append(1)
                return

    thread = threading.Thread(target=cut)
    thread.start()
    result = host.transport.run("cat >got; echo ran >>witness", input=CONTENT, op=op("a"))
    through.set()
    thread.join()
    assert cuts
    assert result.ok
    assert (host.home / "got").read_bytes() == CONTENT
    assert (host.home / "witness").read_text() == "ran\n"


def test_a_file_whose_reading_is_cut_is_read_again(host):
    (host.home / "large").write_bytes(CONTENT)
    through, cuts = threading.Event(), []

    def cut():
        while len(cuts) < 5 and not through.wait(0.04):
            host.fleet.cut("one")
            cuts.append(1)

    thread = threading.Thread(target=cut)
    thread.start()
    assert host.transport.get("large") == CONTENT
    through.set()
    thread.join()
    assert cuts


def test_what_cannot_be_sent_has_certainly_not_begun(host):
    host.transport.patience = 1.0
    host.transport.close()
    host.transport.claim("run-1", 1)

    class Vanishing(Cutting):
        def read(self, size=-1):
            found = super().read(size)
            if self.cuts:
                host.fleet.kill("one")
            return found

    with pytest.raises(Unreachable):
        host.transport.put(Vanishing(host, CONTENT), "large", op=op("a"))
    assert not (host.home / "large").exists()
    host.fleet.restart("one")
    place = host.transport.claim("run-1", 2)
    host.transport.put(io.BytesIO(CONTENT), "large", op=op("a", epoch=2, place=place))
    assert (host.home / "large").read_bytes() == CONTENT


def test_a_host_that_answered_before_is_waited_for_when_it_is_claimed(host):
    host.fleet.kill("one")
    again = threading.Timer(1.0, lambda: host.fleet.restart("one"))
    again.start()
    assert host.transport.claim("run-1", 1)
    again.join()


def test_a_host_that_never_answered_is_told_at_once(host):
    host.fleet.kill("one")
    other = SshTransport(Host(name="one", connection=host.fleet.connection("one")))
    began = time.monotonic()
    with pytest.raises(Unreachable):
        other.claim("run-1", 1)
    assert time.monotonic() - began < other.patience / 2
    other.close()


def test_what_is_on_record_is_asked_for_again_when_the_connection_is_cut(host):
    place = host.transport.claim("run-1", 1)
    for attempt in ("a", "b"):
        host.transport.run("echo ran >>witness", op=op(attempt))
    for attempt in ("a", "b"):
        host.fleet.cut("one")
        time.sleep(0.05)
        assert [one.digest for one in host.transport.record(op(attempt, place=place))] == [attempt]
