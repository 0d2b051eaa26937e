"""stop_server and start_server with a real systemd, on a machine of its own whose sh is busybox's."""

from contextlib import ExitStack, closing

import pytest

from opsflow import TaskFailed
from opsflow.model import Action, Host
from opsflow.testing import MachineFleet
from opsflow.testing.machines import machines_missing
from opsflow.transport.ssh import SshTransport
from opsflow_tasks import start_server, stop_server

HTTPD = "/usr/bin/busybox httpd -f -p 127.0.0.1:"
UNITS = {
    "game@.service": f"[Service]\nExecStart={HTTPD}%i -h /srv\n",
    "crash.service": "[Service]\nExecStart=/bin/sh -c 'echo cannot read the map; exit 7'\n",
    "looping.service": "[Service]\nExecStart=/bin/sh -c 'sleep 0.3; exit 7'\nRestart=always\nRestartSec=100ms\n",
    "broken.service": "[Service]\nExecStart=/bin/sh -c '[ ! -e /srv/broken ] || exit 7; exec sleep 600'\nRestart=always\n",
    "grumpy.service": "[Service]\nExecStart=/bin/sh -c 'trap \"exit 143\" TERM; while :; do sleep 0.1; done'\n",
    "stubborn.service": "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\nTimeoutStopSec=1\n",
    "parent.service": "[Service]\nKillMode=process\nExecStart=/bin/sh -c 'sleep 600 & exec sleep 601'\n",
    "lent.socket": "[Socket]\nListenStream=127.0.0.1:7300\n",
    "lent.service": "[Service]\nExecStart=/bin/sleep 600\n",
}
QUICK = {"stay_up": "200ms", "timeout": "20s"}
GONE = {"stay_down": "200ms", "timeout": "20s"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if reason := machines_missing():
        pytest.skip(reason)
    with ExitStack() as stack:
        fleet = stack.enter_context(
            MachineFleet(tmp_path_factory.mktemp("systemd"), ("one",), shells={"one": "busybox"})
        )
        reached = stack.enter_context(closing(SshTransport(Host(name="one", connection=fleet.connection("one")))))
        for name, text in UNITS.items():
            (fleet.root("one") / "etc/systemd/system" / name).write_text(text)
        reached.run("systemctl daemon-reload")
        yield reached


@pytest.fixture
def on_machine(drive, machine):
    return drive.on(machine)


def said(machine, command):
    return machine.run(command).stdout.strip()


def test_start_stop_and_revert(on_machine, machine):
    start = on_machine(start_server, service="game@7000", port=7000, http="/", http_status=404, **QUICK)
    began = start.plan()
    assert began.before == {"running": False, "manager": "systemd", "balancer": []}
    outputs = start.execute(began)
    assert outputs == start.plan().outputs
    stop = on_machine(stop_server, service="game@7000", port=7000, **GONE)
    preview = stop.plan()
    assert preview.summary == f"stop game@7000 (pid {outputs['pid']}, port 7000)"
    assert stop.execute(preview) == stop.plan().outputs
    for _ in range(2):
        stop.revert(preview)
    assert said(machine, "systemctl is-active game@7000") == "active"
    start.revert(began)
    assert said(machine, "systemctl is-active game@7000") == "inactive"


def test_a_failed_unit_is_not_taken_for_a_stopped_one_but_made_one(on_machine, machine):
    with pytest.raises(TaskFailed, match=r"it failed to start|it came up and ended again") as failure:
        on_machine(start_server, service="crash", **{**QUICK, "stay_up": "5s"}).apply()
    assert "cannot read the map" in failure.value.hint
    stop = on_machine(stop_server, service="crash", **GONE)
    preview = stop.plan()
    assert (preview.action, preview.summary) == (Action.CHANGE, "reset crash: it is failed (exit-code)")
    stop.execute(preview)
    assert stop.logged == ["crash is failed (exit-code) and gets reset"]
    assert said(machine, "systemctl is-failed crash") == "inactive"
    assert stop.plan().action is Action.UNCHANGED
    stop.revert(preview)
    assert said(machine, "systemctl is-active crash") == "inactive"


def test_a_status_that_systemd_calls_a_failure_is_told_and_the_unit_ends_stopped(on_machine):
    on_machine(start_server, service="grumpy", **QUICK).apply()
    stop = on_machine(stop_server, service="grumpy", **GONE)
    stop.apply()
    assert stop.logged == ["grumpy is failed (exit-code) and gets reset"]
    assert stop.plan().action is Action.UNCHANGED


def test_a_restart_loop_is_not_taken_for_a_start(on_machine):
    start = on_machine(start_server, service="looping", **{**QUICK, "stay_up": "5s"})
    preview = start.plan()
    with pytest.raises(TaskFailed, match=r"it does not stay up|it came up and ended again"):
        start.execute(preview)
    start.revert(preview)
    assert on_machine(stop_server, service="looping").plan().action is Action.UNCHANGED


def test_what_systemd_kills_counts_as_stopped_only_if_that_is_allowed(on_machine):
    stop = on_machine(stop_server, service="stubborn", **GONE)
    on_machine(start_server, service="stubborn", **QUICK).apply()
    with pytest.raises(TaskFailed, match="systemd had to kill it, since it did not end in time"):
        stop.apply()
    on_machine(start_server, service="stubborn", **QUICK).apply()
    on_machine(stop_server, service="stubborn", kill=True, **{**GONE, "timeout": "300ms"}).apply()
    assert stop.plan().action is Action.UNCHANGED


def test_processes_that_a_unit_leaves_behind_are_found_and_killed_only_if_allowed(on_machine, machine):
    on_machine(start_server, service="parent", **QUICK).apply()
    with pytest.raises(TaskFailed, match=r"processes of it are left: pid \d+ "):
        on_machine(stop_server, service="parent", **{**GONE, "timeout": "1s"}).apply()
    assert said(machine, "pgrep -fx 'sleep 600'")
    on_machine(start_server, service="parent", **QUICK).apply()
    on_machine(stop_server, service="parent", kill=True, **{**GONE, "timeout": "1s"}).apply()
    assert not said(machine, "pgrep -fx 'sleep 600'")


def test_an_old_process_that_answers_in_its_place_is_noticed(on_machine, machine):
    """A server that does not end when it cannot have its port looks healthy by everything but who answers."""
    old = said(machine, "setsid busybox httpd -f -p 127.0.0.1:7100 >/dev/null 2>&1 & echo $!; sleep 0.3")
    assert f"port 7100 is taken: pid {old} " in on_machine(start_server, service="game@7000", port=7100).plan().why
    said(machine, "systemctl start game@7000")
    start = on_machine(start_server, service="game@7000", port=7100, **{**QUICK, "timeout": "1s"})
    with pytest.raises(
        TaskFailed, match=rf"port 7100 is answered by an older process, pid {old} \(busybox\), not by pid"
    ):
        start.apply()
    said(machine, f"kill {old}; systemctl stop game@7000")


def test_a_port_that_a_socket_unit_holds_is_lent_to_the_service_and_does_not_count_as_closed(on_machine, machine):
    said(machine, "systemctl start lent.socket")
    start = on_machine(start_server, service="lent", port=7300, **QUICK)
    start.apply()
    assert start.plan().action is Action.UNCHANGED
    with pytest.raises(TaskFailed, match="a socket unit, which would start it: stop that, too"):
        on_machine(stop_server, service="lent", port=7300, **{**GONE, "timeout": "1s"}).apply()
    said(machine, "systemctl stop lent.socket lent.service")


def test_a_drain_command_that_hangs_is_ended_and_the_server_runs_on(on_machine, machine):
    said(machine, "systemctl start game@7000")
    hanging = {"drain_command": "sleep 611", "drain_timeout": "500ms"}
    stop = on_machine(stop_server, service="game@7000", port=7000, **hanging, **GONE)
    preview = stop.plan()
    with pytest.raises(TaskFailed, match=r"the drain command did not end within 0\.50 s"):
        stop.execute(preview)
    assert not said(machine, "pgrep -fx 'sleep 611'")
    assert said(machine, "systemctl show -p MainPID --value game@7000") == str(preview.before["pid"])
    stop.revert(preview)
    assert said(machine, "systemctl show -p MainPID --value game@7000") == str(preview.before["pid"])
    said(machine, "systemctl stop game@7000")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"http_status": 404, "http_header": {"X-Release": "2"}}, "does not answer with the header"),
        ({"http_status": 404, "http_body": "release 2"}, 'does not answer with "release 2"'),
        ({"banner": "SSH-2.0"}, "says nothing"),
        ({"check": "test -e /srv/release-2"}, "the check ends with 1"),
    ],
)
def test_an_answer_that_is_not_the_wanted_one_fails_the_start_and_its_revert_stops_the_unit(
    on_machine, machine, wanted, why
):
    about = {"http": "/"} if "http_status" in wanted else {}
    start = on_machine(start_server, service="game@7200", port=7200, **about, **wanted, **{**QUICK, "timeout": "300ms"})
    preview = start.plan()
    with pytest.raises(TaskFailed, match=why):
        start.execute(preview)
    for _ in range(2):
        start.revert(preview)
        assert said(machine, "systemctl is-active game@7200") == "inactive"


def test_a_unit_that_failed_so_often_that_systemd_refuses_it_can_be_started_once_it_is_mended(on_machine, machine):
    machine.run("touch /srv/broken; systemctl start broken; until systemctl is-failed -q broken; do sleep 0.1; done")
    assert "too quickly" in said(machine, "journalctl -u broken -n 5 -o cat")
    machine.run("rm /srv/broken")
    start = on_machine(start_server, service="broken", **QUICK)
    preview = start.plan()
    start.execute(preview)
    assert start.plan().action is Action.UNCHANGED
    start.revert(preview)
