"""`opsflow logs`: what was printed, what is being printed, of whichever process drives the run."""

import re
import signal
import threading
import time
from pathlib import Path

import pytest
from command_line import eventually, step

from opsflow.testing.mariadb import PrivateMariaDB, installed

TALK = step("talk", "echo one; echo two >&2; printf three", undo="true")
TICK = step("tick", "n=0; until [ -e go ]; do n=$((n + 1)); echo tick $n; sleep 0.1; done; echo over", undo="true")


class Reader:
    """A command whose lines are taken as they come."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def end(self):
        code = self.process.wait(timeout=60)
        self._thread.join(10)
        return code

    def said(self, text):
        return any(text in line for line in self.lines)


@pytest.fixture(params=["sqlite", "mariadb"])
def journal(request, tmp_path):
    """Options that name a journal."""
    if request.param == "sqlite":
        yield ()
        return
    if not installed():
        reason = "mariadbd is not installed (Debian: mariadb-server)"
        pytest.skip(reason)
    with PrivateMariaDB(tmp_path) as server:
        yield ("--journal", server.create("logs"))


def go(project):
    for host in project.fleet.names:
        project.on(host, "go").touch()


def test_all_that_was_printed_with_node_and_stream(project):
    project.opsflow("apply", project.playbook(TALK, step("evil", r"printf '\033[2J\n'", hosts="one")), "--yes")
    said = project.opsflow("logs").out.splitlines()
    assert sorted(said[:6]) == [
        f"talk@{host} {text}" for host in ("one", "two") for text in ("stderr | two", "stdout | one", "stdout | three")
    ]
    assert said[6:] == [r"evil@one stdout | \x1b[2J"]


def peak(pid):
    """The most memory that a process has had, KiB; 0 if it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def test_a_command_that_prints_much_costs_no_memory(project):
    flood = step("flood", "yes 'what an unending loop prints' | head -c 1000000000", hosts="localhost", undo="true")
    with project.started("apply", project.playbook(flood), "--yes") as process:
        most = 0  # not what the kernel says at the end: that counts what the process was before it was this program
        while process.poll() is None:
            most = max(most, peak(process.pid))
            time.sleep(0.05)
    assert process.returncode == 0
    assert 0 < most < 200 * 1024, "KiB"
    lines = project.opsflow("logs").out.splitlines()
    gaps = [n for n, line in enumerate(lines) if line.endswith("bytes not kept]")]
    assert len(gaps) == 1
    kept = sum(len(line.partition(" | ")[2]) + 1 for n, line in enumerate(lines) if n not in gaps)
    assert kept < 2 << 20


def test_a_step_a_host_the_last_lines_and_json(project):
    project.opsflow("apply", project.playbook(TALK, step("more", "seq 1000", undo="true")), "--yes")
    assert project.opsflow("logs", "--host", "two", "--step", "more", "-n", "2").out.splitlines() == [
        "more@two stdout | 999",
        "more@two stdout | 1000",
    ]
    assert project.opsflow("logs", "-n", "0").out == ""
    assert len(project.opsflow("logs", "-n", "1003").out.splitlines()) == 1003
    run = project.show().id
    events = project.opsflow("logs", run, "--step", "more", "--host", "one", "--output", "jsonl").events
    assert [line["text"] for line in events] == [f"{n}\n" for n in range(1, 1001)]
    document = project.opsflow("logs", "--step", "talk", "--host", "one", "--output", "json").json
    assert {(line["node"], line["stream"], line["text"]) for line in document} == {
        ("talk@one", "stdout", "one\n"), ("talk@one", "stderr", "two\n"), ("talk@one", "stdout", "three"),
    }  # fmt: skip
    assert project.opsflow("logs", "--step", "talk", "-n", "0", "--output", "json").json == []


def test_what_the_run_does_not_have_is_named(project):
    project.opsflow("apply", project.playbook(TALK, step("alone", "true", hosts="one", undo="true")), "--yes")
    ended = project.opsflow("logs", "--step", "tolk", code=2)
    assert "has no step tolk" in ended.err
    assert "did you mean `talk`?" in ended.err
    assert "did you mean `two`?" in project.opsflow("logs", "--host", "twoo", code=2).err
    assert "not on host two" in project.opsflow("logs", "--step", "alone", "--host", "two", code=2).err
    assert "no run's id begins with" in project.opsflow("logs", "nosuch", code=2).err


def test_a_failure_points_to_what_was_printed(project):
    project.opsflow(
        "apply", project.playbook(step("fails", "echo why; exit 9", hosts="one", undo="true")), "--yes", code=3
    )
    command = next(line for line in project.opsflow("show").out.splitlines() if "opsflow logs" in line).split()
    assert project.opsflow(*command[2:]).out == "fails@one stdout | why\n"


def test_a_run_is_followed_while_another_process_drives_it(project, journal):
    playbook = project.playbook(TICK)
    with project.started("apply", playbook, "--yes", *journal) as apply:
        eventually(lambda: project.opsflow("runs", "--output", "json", *journal).json, during=apply)
        with project.started("logs", "-f", *journal) as logs:
            reader = Reader(logs)
            eventually(lambda: reader.said("tick@one stdout | tick 3") and reader.said("tick@two stdout | tick 3"))
            assert apply.poll() is None, "it is shown while the command runs"
            go(project)
            assert reader.end() == 0
        apply.wait(timeout=60)
    for host in ("one", "two"):
        mine = [line for line in reader.lines if line.startswith(f"tick@{host} ")]
        assert mine == [f"tick@{host} stdout | tick {n}" for n in range(1, len(mine))] + [f"tick@{host} stdout | over"]


def test_following_ends_silently_with_ctrl_c_and_the_run_goes_on(project):
    with project.started("apply", project.playbook(TICK), "--yes") as apply:
        eventually(project.on("one", ".opsflow").exists, during=apply)
        eventually(lambda: project.opsflow("runs", "--output", "json").json, during=apply)
        with project.started("logs", "-f", "-n", "1") as logs:
            reader = Reader(logs)
            eventually(lambda: len(reader.lines) > 2)
            logs.send_signal(signal.SIGINT)
            assert reader.end() == 130
        assert all(" stdout | tick " in line for line in reader.lines)
        go(project)
        assert apply.wait(timeout=60) == 0


def test_following_ends_when_nobody_drives_the_run_any_more(project):
    with project.started("apply", project.playbook(TICK), "--yes") as apply:
        eventually(lambda: project.opsflow("runs", "--output", "json").json, during=apply)
        with project.started("logs", "-f") as logs:
            reader = Reader(logs)
            eventually(lambda: reader.said("tick 2"))
            apply.kill()
            assert reader.end() == 0
    run = project.show().id
    assert reader.lines[-1] == f"nobody drives run {run} now: opsflow resume {run}"
    go(project)
    project.opsflow("resume")
    ended = project.opsflow("logs", "-f", "--host", "one")
    lines = ended.out.splitlines()
    assert lines == [f"tick@one stdout | tick {n}" for n in range(1, len(lines))] + ["tick@one stdout | over"]
    assert ended.err == ""
