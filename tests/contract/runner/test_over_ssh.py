"""Over real ssh: sessions that are killed, links that fall silent, hostile login shells, and what a step costs."""

import os
import random
import threading
import time
from types import SimpleNamespace

import pytest
from runner_ground import check, command, expected

from opsflow.errors import Interrupted
from opsflow.model import Host, Operation
from opsflow.testing import SshdFleet
from opsflow.testing.processes import with_environment
from opsflow.testing.sshd import sshd_path
from opsflow.transport import following
from opsflow.transport.ssh import SshTransport

NUMBERS = 5


@pytest.fixture
def host(tmp_path):
    if sshd_path() is None:
        reason = "sshd is not installed"
        pytest.skip(reason)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with SshdFleet(tmp_path / "fleet", ["one"], first_address=f"127.0.{180 + worker}.1") as fleet:
        transport = SshTransport(Host(name="one", connection=fleet.connection("one")))
        yield SimpleNamespace(fleet=fleet, transport=transport, home=fleet.home("one"))
        transport.close()


def op(attempt, number=1, epoch=1, **more):
    return Operation(run="run-1", epoch=epoch, attempt=attempt, number=number, digest=f"{attempt}-{number}", **more)


def witness(host):
    path = host.home / "witness"
    return path.read_text().split() if path.exists() else []


def test_the_sessions_sshd_dies_at_random_moments(host, many):
    chance = random.Random(3)
    attempts = [f"attempt{n}" for n in range(30 * many)]
    through = threading.Event()
    found, deaths = [], 0
    host.transport.claim("run-1", 1)

    def work(mine):
        steps = ((name, number) for name in mine for number in range(1, NUMBERS + 1))
        found.extend(check(host.transport.run(command(*step), op=op(*step)), *step) for step in steps)

    threads = [threading.Thread(target=work, args=(attempts[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        through.wait(chance.uniform(0.05, 0.4))
        host.fleet.cut("one")
        deaths += 1
    print(f"{len(attempts) * NUMBERS} operations, {deaths} cuts")
    assert found == [""] * len(attempts) * NUMBERS
    assert sorted(witness(host)) == sorted(f"{a}.{n}" for a in attempts for n in range(1, NUMBERS + 1))


def test_a_link_that_falls_silent_is_made_anew_and_the_command_followed(host, monkeypatch):
    monkeypatch.setattr(following, "SILENCE", 1.0)
    caught = []
    thread = threading.Thread(
        target=lambda: caught.append(host.transport.run("echo ran >>witness; sleep 3; echo end", op=op("a")))
    )
    thread.start()
    while not witness(host):
        time.sleep(0.01)
    host.fleet.freeze("one")
    thread.join(40)
    assert caught[0].stdout == "end\n"
    assert witness(host) == ["ran"]


def test_a_host_that_stays_away_leaves_the_operation_unknown(host):
    host.transport.patience = 1.0
    caught = []

    def work():
        try:
            host.transport.run("echo ran >>witness; sleep 3", op=op("a"))
        except Interrupted as error:
            caught.append(error.reason)

    thread = threading.Thread(target=work)
    thread.start()
    while not witness(host):
        time.sleep(0.01)
    host.fleet.kill("one")
    thread.join(40)
    assert "cannot be made again" in caught[0]
    host.fleet.restart("one")
    place = host.transport.claim("run-1", 2)
    assert host.transport.run("echo ran >>witness; sleep 3", op=op("a", epoch=2, place=place)).ok
    assert witness(host) == ["ran"]


def test_twenty_steps_take_one_round_trip_each_on_one_session(host):
    """What is sent per step: one message, on one channel, whatever came before."""
    host.transport.claim("run-1", 1)
    channel = host.transport._target._channels[0]
    before = channel.messages
    for number in range(1, 21):
        host.transport.run("true", op=op("a", number))
    assert channel.messages - before <= 22  # at most two were so slow that they were asked after
    assert host.fleet.log("one").count("Starting session") == 1
    assert host.fleet.connections("one") == 1


def test_reads_and_small_files_take_the_same_way(host):
    import io

    host.transport.claim("run-1", 1)
    assert host.transport.run("echo read").stdout == "read\n"
    host.transport.put(io.BytesIO(b"content"), "small", op=op("a"))
    assert (host.home / "small").read_bytes() == b"content"
    assert host.fleet.log("one").count("Starting session") == 1


def test_a_login_that_talks_does_no_harm(host):
    noise = b"\nNONCE H a b c\n\0\xff E x\n" * 50
    real = host.transport.start

    class Noisy:
        def __init__(self, process):
            self._process, self._noise = process, noise

        def read(self, stream):
            if stream == "stdout" and self._noise:
                said, self._noise = self._noise, b""
                return said
            return self._process.read(stream)

        def __getattr__(self, name):
            return getattr(self._process, name)

    host.transport.start = lambda *arguments, **more: Noisy(real(*arguments, **more))
    result = host.transport.run("printf '\\nNONCE E x 0 - 0 0 .\\n'; exit 5", op=op("a"))
    assert (result.exit_status, result.stdout) == (5, "\nNONCE E x 0 - 0 0 .\n")


def test_fifty_megabytes_of_binary_output_are_exact(host):
    import hashlib

    size, seen = 50 * 1024 * 1024, hashlib.sha256()
    content = random.Random(1).randbytes(1024 * 1024)
    (host.home / "part").write_bytes(content)

    from opsflow.transport.following import call_of
    from opsflow.transport.process import Capture

    class Hashing(Capture):
        def feed(self, data):
            seen.update(data)
            super().feed(data)

    host.transport.claim("run-1", 1)
    out, err = Hashing("stdout", 10), Capture("stderr", 10)
    call = call_of(op("a"), "i=0; while [ $i -lt 50 ]; do cat part; i=$((i+1)); done", out, err)
    assert host.transport._target.call(call) == (0, "-")
    assert out.count == size
    assert seen.hexdigest() == hashlib.sha256(content * 50).hexdigest()


def test_a_payload_that_daemonizes_is_let_go(host):
    began = time.monotonic()
    result = host.transport.run("setsid sleep 20 & echo started; exit 3", op=op("a"))
    assert (result.exit_status, result.stdout) == (3, "started\n")
    assert time.monotonic() - began < 5
    assert with_environment(f"OPSFLOW_FLEET={host.home}")


def test_the_expected_outcomes_differ():
    assert len({expected("a", n) for n in range(20)}) > 5
