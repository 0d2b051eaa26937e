"""The fleet of real machines: each has its own systemd, boot id, disk and cable, and nothing is left of it."""

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from opsflow.errors import Unreachable
from opsflow.model import Host
from opsflow.testing import MachineFleet
from opsflow.testing.processes import processes
from opsflow.transport.ssh import SshTransport

NAMES = ("one", "two")
SHELLS = {"two": "busybox"}


@pytest.fixture(scope="module")
def fleet(machines_possible, tmp_path_factory):
    with MachineFleet(tmp_path_factory.mktemp("machines"), NAMES, shells=SHELLS) as fleet:
        yield fleet


def transport(fleet, name):
    return closing(SshTransport(Host(name=name, connection=fleet.connection(name))))


def said(fleet, name, command):
    with transport(fleet, name) as reached:
        return reached.run(command).stdout.strip()


def mounts():
    return Path("/proc/self/mounts").read_text()


def links():
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def test_every_host_is_a_machine_of_its_own(fleet):
    for question in ("cat /etc/machine-id", "cat /proc/sys/kernel/random/boot_id", "hostname"):
        assert len({said(fleet, name, question) for name in NAMES}) == len(NAMES)
    for name in NAMES:
        assert said(fleet, name, "hostname; pwd; id -u; cat /proc/1/comm").split() == [name, "/root", "0", "systemd"]
        assert said(fleet, name, "cat /proc/sys/kernel/random/boot_id") == fleet.boot_id(name)
        assert said(fleet, name, "systemctl is-active ssh.service") == "active"
    assert said(fleet, "one", "readlink /proc/$$/exe") == "/usr/bin/dash"
    assert said(fleet, "two", "readlink /proc/$$/exe") == "/usr/bin/busybox"


def test_hosts_reach_each_other(fleet):
    address = fleet.connection("two").address
    assert "SSH-2.0" in said(fleet, "one", f"bash -c 'exec 3<>/dev/tcp/{address}/22; read -r line <&3; echo $line'")


def test_a_host_that_loses_power_comes_back_with_another_boot_id_and_the_same_disk(fleet):
    said(fleet, "one", "echo kept >synced && sync synced; echo gone >unsynced; (sleep 1000 &) >/dev/null 2>&1")
    machine, boot, inside = said(fleet, "one", "cat /etc/machine-id"), fleet.boot_id("one"), fleet.processes("one")
    fleet.power_loss("one")
    assert fleet.processes("one") == []
    assert not set(inside) & set(processes())
    fleet.boot("one")
    assert fleet.boot_id("one") != boot
    assert said(fleet, "one", "cat /etc/machine-id") == machine
    assert said(fleet, "one", "cat synced") == "kept"
    assert (fleet.home("one") / "synced").read_text() == "kept\n"
    if fleet.loses_what_is_not_synced("one"):
        assert said(fleet, "one", "cat unsynced") == ""
    assert "sleep" not in said(fleet, "one", "ps -e -o comm")


def test_a_cable_that_is_pulled_out_is_silence_and_what_was_said_arrives_when_it_is_back(fleet):
    found = []
    with transport(fleet, "one") as reached:
        reached.run("true")
        fleet.cut("one")
        thread = threading.Thread(target=lambda: found.append(reached.run("echo arrived").stdout))
        thread.start()
        thread.join(1)
        assert found == []
        fleet.mend("one")
        thread.join(60)
    assert found == ["arrived\n"]


def test_a_host_that_is_rejected_says_so_at_once(fleet):
    fleet.reject("one")
    try:
        with transport(fleet, "one") as reached, pytest.raises(Unreachable, match="refused"):
            reached.run("true")
    finally:
        fleet.mend("one")
    assert said(fleet, "one", "echo back") == "back"


def test_ended_sessions_end_no_command(fleet):
    said(fleet, "two", "(sleep 1.5; echo on >went) >/dev/null 2>&1 &")
    with transport(fleet, "two") as reached:
        reached.run("true")
        before = [pid for pid, seen in processes().items() if seen.program == "sshd" and pid in fleet.processes("two")]
        fleet.end_sessions("two")
        ends = time.monotonic() + 30
        while len(after := [pid for pid in fleet.processes("two") if pid in before]) > 1 and time.monotonic() < ends:
            time.sleep(0.05)
        assert len(after) == 1 < len(before)
    while not (fleet.home("two") / "went").exists():
        time.sleep(0.05)
    assert said(fleet, "two", "cat went") == "on"


def test_what_a_test_changes_on_a_host_is_gone_with_the_fleet_and_nothing_is_left(machines_possible, tmp_path):
    for _ in range(2):
        with MachineFleet(tmp_path / "fleet", ["one"]) as fleet:
            assert said(fleet, "one", "ls") == ""
            said(fleet, "one", "touch mine")
            fleet.reject("one")
            inside, cable = fleet.processes("one"), fleet._network.prefix
        assert str(tmp_path) not in mounts()
        assert cable not in links()
        assert not set(inside) & set(processes())


def test_what_a_fleet_that_was_killed_left_behind_is_cleared_away_by_the_next(machines_possible, tmp_path):
    script = "import sys, time; from opsflow.testing import MachineFleet\n"
    script += "fleet = MachineFleet(sys.argv[1], ['one']); fleet.start()\n"
    script += "print(fleet._network.prefix, *fleet.processes('one'), flush=True); time.sleep(600)\n"
    died = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "first")], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    prefix, *inside = died.stdout.readline().split()
    died.kill()
    died.communicate()
    with MachineFleet(tmp_path / "second", ["one"]) as fleet:
        assert said(fleet, "one", "echo here") == "here"
        if fleet._network.prefix == prefix:  # else somebody else was given the network, and has cleared it
            assert len(re.findall(f"v{prefix}", links())) == 1
        assert not {int(pid) for pid in inside} & set(processes())
        assert str(tmp_path / "first") not in mounts()
