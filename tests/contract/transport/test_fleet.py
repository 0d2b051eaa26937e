"""The throwaway fleet."""

import os
import subprocess
import sys
import time
import tomllib

import pytest

from opsflow.model import Host
from opsflow.testing import SshdFleet
from opsflow.testing.processes import below, processes, with_environment
from opsflow.transport.ssh import SshTransport

NAMES = [f"host-{n}" for n in range(8)]


@pytest.fixture
def home(tmp_path, fleet):
    """Where fleets can be; asks for `fleet` in order to be skipped where there is no sshd."""
    return tmp_path / "fleet"


def test_eight_hosts_are_ready_soon_and_are_apart(home):
    began = time.monotonic()
    with SshdFleet(home, NAMES) as fleet:
        assert time.monotonic() - began < 2
        addresses = {(c.address, c.port) for c in map(fleet.connection, NAMES)}
        assert len(addresses) == len(NAMES)
        for name in NAMES:
            transport = SshTransport(Host(name=name, connection=fleet.connection(name)))
            assert transport.run("pwd").stdout == f"{fleet.home(name)}\n"
            transport.close()


def test_nothing_is_left_when_it_stops(home):
    before = set(below(os.getpid()))
    with SshdFleet(home, NAMES[:2]) as fleet:
        transport = SshTransport(Host(name="h", connection=fleet.connection(NAMES[0])))
        transport.run("nohup sleep 300 >/dev/null 2>&1 &")
        transport.run("setsid sleep 300 >/dev/null 2>&1 &")
        mark = f"OPSFLOW_FLEET={fleet.home(NAMES[0])}"
        assert len(with_environment(mark)) >= 2
    assert with_environment(mark) == []
    assert set(below(os.getpid())) <= before
    transport.close()


def test_a_cut_ends_no_command_and_a_loss_of_power_does(home):
    with SshdFleet(home, NAMES[:1]) as fleet:
        transport = SshTransport(Host(name="h", connection=fleet.connection(NAMES[0])))
        pid = int(transport.run("sleep 300 >/dev/null 2>&1 & echo $!").stdout)
        fleet.cut(NAMES[0])
        fleet.kill(NAMES[0])
        assert pid in processes()
        fleet.kill(NAMES[0], commands=True)
        assert pid not in processes()
        transport.close()


def test_the_inventory_names_every_host(home):
    with SshdFleet(home, NAMES[:2], addresses={NAMES[1]: ("127.0.10.99", 42399)}) as fleet:
        inventory = tomllib.loads(fleet.inventory())
        assert inventory["ssh"]["key_file"] == str(fleet.client_key)
        assert inventory["ssh"]["known_hosts"] == str(fleet.known_hosts)
        for name in NAMES[:2]:
            found = fleet.connection(name)
            assert inventory["hosts"][name] == {"address": found.address, "port": found.port}
        assert fleet.connection(NAMES[1]).port == 42399


def test_it_can_be_stopped_and_replaced_by_another_process(home):
    addresses = {NAMES[0]: ("127.0.10.98", 42398)}
    program = f"from opsflow.testing import SshdFleet; SshdFleet({str(home)!r}, {NAMES[:1]!r}, addresses={addresses!r})"
    subprocess.run([sys.executable, "-c", f"{program}.start()"], check=True)
    fleet = SshdFleet(home, NAMES[:1], addresses=addresses)
    pid_file = home / ".fleet" / NAMES[0] / "pid"
    first = int(pid_file.read_text())
    with fleet:
        assert first not in processes()
        second = int(pid_file.read_text())
        subprocess.run([sys.executable, "-c", f"{program}.stop()"], check=True)
        assert second not in processes()


def test_a_server_that_cannot_start_says_why(home):
    fleet = SshdFleet(home, NAMES[:1], addresses={NAMES[0]: ("192.0.2.1", 22)})
    with pytest.raises(RuntimeError, match="Cannot bind any address"), fleet:
        pass
