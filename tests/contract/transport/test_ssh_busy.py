"""Servers that refuse for a moment, and ones that are gone for a moment: connects are tried again, commands never."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from ssh_ground import User, addresses

from opsflow.errors import AuthenticationFailed, HostKeyRejected, Unreachable
from opsflow.model import Host, Operation
from opsflow.testing import SshdFleet
from opsflow.transport.pool import HostTransports
from opsflow.transport.ssh import SshTransport

MANY = 40


@pytest.fixture
def user(tmp_path, monkeypatch, fleet):
    user = User(tmp_path / "home", monkeypatch)
    user.knows(fleet)
    yield user
    user.close()


@contextmanager
def door(there, first):
    """A port in front of a server that treats the first connections in its own way: `first` says how, one each."""
    counted, threads, links = [], [], []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        admitting = threading.Thread(target=_admit, args=(listener, there, list(first), counted, threads, links))
        admitting.start()
        try:
            yield listener.getsockname()[1], counted
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for link in links:
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
            for thread in (admitting, *threads):
                thread.join()
            for link in links:
                link.close()


def _admit(listener, there, first, counted, threads, links):
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        counted.append(near)
        if first:
            with near:
                first.pop(0)(near)
            continue
        far = socket.create_connection(there)
        links += [near, far]
        for source, sink in ((near, far), (far, near)):
            threads.append(threading.Thread(target=_pass_on, args=(source, sink)))
            threads[-1].start()


def _pass_on(source, sink):
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _hangs_up(link):
    """As a server with too many connections that are not logged in yet."""


def _says_so(link):
    link.sendall(b"Exceeded MaxStartups\r\n")


def _resets(link):
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _breaks_off(link):
    link.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    link.recv(100)


@pytest.mark.parametrize("what", [_hangs_up, _says_so, _resets, _breaks_off], ids=lambda what: what.__name__)
def test_a_server_that_turns_away_the_first_three_is_reached(fleet, user, what):
    address, port = addresses(fleet, "one")
    user.config(f"Host *\n  HostKeyAlias [{address}]:{port}\n")
    with door((address, port), [what] * 3) as (front, counted):
        transport = user.to("127.0.0.1", port=front, key_file=str(fleet.client_key))
        assert transport.run("echo there").stdout == "there\n"
        assert len(counted) == 4
        transport.close()


def test_a_server_that_is_too_busy_for_long_is_told(fleet, user):
    with door(addresses(fleet, "one"), [_says_so] * 1000) as (front, counted):
        with pytest.raises(Unreachable, match="cannot reach host"):
            user.to("127.0.0.1", port=front, key_file=str(fleet.client_key), connect_timeout=1.0).run("true")
        assert 1 < len(counted) < 10


class Gate:
    """Counts the tries; `at`: what happens before which of them."""

    def __init__(self, at=None):
        self.tries = 0
        self._at = at or {}

    def __enter__(self):
        self.tries += 1
        self._at.get(self.tries, lambda: None)()

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize("when", [2, 4])
def test_a_server_that_refuses_up_to_three_times_is_reached(tmp_path, fleet, when):
    with SshdFleet(tmp_path / "late", ["late"], first_address="127.0.144.70") as late:
        late.kill("late")
        gate = Gate({when: lambda: late.restart("late")})
        transport = SshTransport(Host(name="late", connection=late.connection("late")), gate=gate)
        assert transport.run("true").ok
        assert gate.tries == when
        transport.close()


def test_a_port_that_goes_on_refusing_is_given_up(tmp_path, fleet):
    with SshdFleet(tmp_path / "gone", ["gone"], first_address="127.0.144.70") as gone:
        gone.kill("gone")
        gate = Gate()
        with pytest.raises(Unreachable, match="connection refused"):
            SshTransport(Host(name="gone", connection=gone.connection("gone")), gate=gate).run("true")
        assert gate.tries == 4


def test_who_does_not_let_us_in_is_not_asked_again(fleet, user):
    address, port = addresses(fleet, "one")
    user.config(f"Host *\n  HostKeyAlias [{address}]:{port}\n")
    wrong = user.key("wrong")
    with door((address, port), []) as (front, counted):
        with pytest.raises(AuthenticationFailed):
            user.to("127.0.0.1", port=front, key_file=str(wrong)).run("true")
        assert len(counted) == 1


def test_a_stranger_is_not_asked_again(fleet, user):
    with door(addresses(fleet, "one"), []) as (front, counted):
        with pytest.raises(HostKeyRejected):
            user.to("127.0.0.1", port=front, key_file=str(fleet.client_key)).run("true")
        assert len(counted) == 1


@pytest.mark.parametrize("limits", ["10:30:60", "3:50:6"])
def test_forty_connections_get_through_to_a_server_that_drops_some(tmp_path, fleet, limits):
    options = [f"MaxStartups {limits}"]
    with SshdFleet(tmp_path / "busy", ["busy"], first_address="127.0.144.71", options=options) as busy:
        hosts = {f"h{n}": Host(name=f"h{n}", connection=busy.connection("busy")) for n in range(MANY)}
        pool = HostTransports(hosts)
        with ThreadPoolExecutor(MANY) as threads:
            results = list(threads.map(lambda name: pool.to(name).run("true").ok, hosts))
        assert results == [True] * MANY
        assert "drop connection" in busy.log("busy")
        pool.close()


def test_a_server_that_is_away_for_five_seconds_is_waited_for(tmp_path, user):
    with SshdFleet(tmp_path / "away", ["away"], first_address="127.0.144.72") as away:
        user.knows(away)
        address, port = addresses(away, "away")
        transport = user.to(address, port=port, key_file=str(away.client_key))
        witness = away.home("away") / "witness"
        place = transport.claim("run-1", 1)
        op = Operation(run="run-1", epoch=1, attempt="attempt", number=1, digest="d", place=place)
        found = []
        thread = threading.Thread(
            target=lambda: found.append(transport.run("echo ran >> witness; sleep 2; echo end", op=op))
        )
        thread.start()
        while not witness.exists() and thread.is_alive():
            time.sleep(0.01)
        away.kill("away")
        time.sleep(5)
        away.restart("away")
        thread.join(60)
        assert [result.stdout for result in found] == ["end\n"]
        assert witness.read_text() == "ran\n"
        transport.close()
