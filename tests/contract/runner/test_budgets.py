"""What a step costs, counted: messages, round trips, sessions, bytes, and processes on the target."""

import io
import os
import shutil
import subprocess
from itertools import pairwise
from types import SimpleNamespace

import pytest
from runner_ground import until

from opsflow.model import Host, Operation
from opsflow.testing import SshdFleet
from opsflow.testing.processes import processes, with_environment
from opsflow.testing.sshd import sshd_path
from opsflow.transport import following
from opsflow.transport.local import LocalTransport
from opsflow.transport.ssh import SshTransport

STEPS = 20


def needs(there, reason):
    if not there:
        pytest.skip(reason)


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A host over real ssh whose connection is claimed, with a count of what is sent to it."""
    needs(sshd_path() is not None, "sshd is not installed")
    monkeypatch.setattr(following, "POLL", (60.0, 60.0))  # a slow machine is not asked after
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with SshdFleet(tmp_path / "fleet", ["one"], first_address=f"127.0.140.{1 + worker}") as fleet:
        transport = SshTransport(Host(name="one", connection=fleet.connection("one")))
        transport.claim("run-1", 1)
        channel = transport._target._channels[0]
        count = SimpleNamespace(transport=transport, messages=0, bytes=0, log=lambda: fleet.log("one"))
        put = channel._put

        def counting(data):
            count.messages += 1
            count.bytes += len(data)
            put(data)

        monkeypatch.setattr(channel, "_put", counting)
        yield count
        assert fleet.log("one").count("Starting session") == 1
        assert fleet.connections("one") == 1
        transport.close()


def op(number):
    return Operation(run="run-1", epoch=1, attempt="a", number=number, digest="d" * 32)


def test_twenty_silent_commands(counted):
    for number in range(1, STEPS + 1):
        assert counted.transport.run("true", op=op(number)).ok
    assert counted.messages == STEPS
    # T true / S 1 o<24 digits>.N <digest> 0 - 1 .
    assert counted.bytes == STEPS * len(f"T true\nS 1 o{'0' * 24}. {'d' * 32} 0 - 1 .\n") + 9 + 2 * 11


def test_twenty_commands_that_say_something(counted):
    """Their output comes with the news of their end."""
    for number in range(1, STEPS + 1):
        assert len(counted.transport.run("printf %01024d 0", op=op(number)).stdout) == 1024
    assert counted.messages == STEPS
    assert counted.bytes < STEPS * 120


def test_twenty_commands_with_input_and_environment(counted):
    for number in range(1, STEPS + 1):
        result = counted.transport.run('cat; echo "$A"', input=b"given ", env={"A": "b"}, op=op(number))
        assert result.stdout == "given b\n"
    assert counted.messages == STEPS
    assert counted.bytes < STEPS * 160


def test_twenty_small_files(counted):
    for number in range(1, STEPS + 1):
        counted.transport.put(io.BytesIO(b"x" * 1000), f"file-{number}", op=op(number))
    assert counted.messages == STEPS
    assert counted.bytes < STEPS * (1000 + 2500)


def test_twenty_probes(counted):
    """Nothing but the question, and which earlier ones may be forgotten."""
    for _ in range(STEPS):
        assert counted.transport.run("true", timeout=60).ok
    assert counted.messages == STEPS
    assert counted.bytes < STEPS * 100


class Apart(LocalTransport):
    """A target with process ids of its own: the next id tells how many processes there were."""

    def start(self, arguments=("sh",), **more):
        return super().start(("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *arguments), **more)


@pytest.fixture
def apart(tmp_path, monkeypatch):
    needs(os.geteuid() == 0, "only root may give a target process ids of its own")
    able = (
        shutil.which("unshare")
        and not subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode
    )
    needs(able, "unshare cannot make a pid namespace here")
    monkeypatch.setattr(following, "POLL", (60.0, 60.0))
    home = tmp_path / "home"
    home.mkdir()
    transport = Apart(home)
    transport.home = home
    transport.claim("run-1", 1)
    yield transport
    transport.close()


@pytest.mark.parametrize(
    ("command", "asked", "number_of"),
    [
        pytest.param("", {}, 1, id="silent"),
        pytest.param("", {"env": {"A": "b"}}, 1, id="environment"),
        pytest.param("", {"timeout": 600}, 1, id="timeout"),
        pytest.param("echo said", {}, 1, id="output"),
        pytest.param("echo said; echo said >&2", {}, 1, id="both streams"),
        pytest.param("printf %02000d 0", {}, 2, id="larger output"),  # somebody reads that
        pytest.param("read -r x", {"input": b"given\n"}, 1, id="input"),
        pytest.param("read -r x || :", {"input": b"given"}, 2, id="input without an end"),  # somebody writes that
    ],
)
def test_processes_of_an_operation(apart, command, asked, number_of):
    """Its own shell is one of them."""
    for number in range(1, 12):
        assert apart.run(f"echo $$ >>ids; {command}", **asked, op=op(number)).ok
        if number == 1 and "timeout" in asked:
            until(lambda: "sleep" in programs(apart.home))
    _, *ids = (int(line) for line in (apart.home / "ids").read_text().split())  # the first sets the alarm
    assert {after - before for before, after in pairwise(ids)} == {number_of}


def programs(home):
    """Names of the programs that run in a home directory."""
    seen = processes()
    return {seen[pid].program for pid in with_environment(f"HOME={home}") if pid in seen}
