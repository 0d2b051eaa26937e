"""Steps that wait for somebody, over real hosts: who is asked where, what a refusal does, what a kill leaves; pause."""

import getpass
import os
import pty
import re
import select
import signal
import subprocess
import time

from command_line import OPSFLOW, eventually, step

HOLD = "echo > began; while [ ! -e go ]; do sleep 0.05; done; echo x >> held"
FIRST = step("first", "echo x >> first", undo="rm -f first", hosts="one")
THEN = step("then", "echo {{ outputs.ask.by }} >> then", undo="rm -f then", hosts="one", needs=["ask"])
ME = f"{getpass.getuser()}@"


def asks(question="is one well?", **keys):
    more = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f'[[step]]\nid = "ask"\ntask = "approve"\n{more}with = {{ message = "{question}" }}\n'


def test_where_nobody_is_at_the_terminal_it_suspends_and_an_approval_lets_a_resume_go_on(project):
    playbook = project.playbook(FIRST, asks(), THEN)
    planned = project.opsflow("plan", playbook)
    assert "waits for approval: is one well?" in planned.out
    ended = project.opsflow("apply", playbook, "--yes", code=7)
    run = project.show()
    assert run.state == "suspended"
    assert run.data["run"]["exit_code"] == 7
    assert run.states == {"first@one": "succeeded", "ask@localhost": "pending", "then@one": "pending"}
    assert run.nodes["ask@localhost"]["approval"] == "is one well?"
    assert f"opsflow approve {run.id} ask" in ended.err
    shown = project.opsflow("show", run.id).out
    assert "waiting ask@localhost: is one well?" in shown
    assert f"opsflow approve {run.id} ask" in shown
    refused = project.opsflow("apply", project.playbook(FIRST), "--yes", code=5)
    assert run.id in refused.err, "it holds its hosts while it waits"
    project.playbook(FIRST, asks(), THEN)

    approved = project.opsflow("approve", run.id, "--why", "graphs are flat")
    assert approved.out == "approved ask@localhost\n"
    assert f"next: opsflow resume {run.id}" in approved.err
    project.opsflow("resume", run.id)

    run = project.show(run.id)
    assert run.state == "succeeded"
    (request,) = run.data["requests"]
    assert (request["what"], request["data"]["why"]) == ("approve", "graphs are flat")
    assert request["operator"].startswith(ME)
    assert project.on("one", "then").read_text() == f"{request['operator']}\n"
    shown = project.opsflow("show", run.id).out
    assert re.search(rf"ask@localhost approved by {request['operator']} at \S+Z: graphs are flat", shown)
    assert project.files()["one"]["first"] == 1


def test_rejected_a_resume_puts_everything_back(project):
    project.opsflow("apply", project.playbook(FIRST, asks(), THEN), "--yes", code=7)
    run = project.show().id
    rejected = project.opsflow("approve", run, "--reject", "--why", "errors", "--output", "json").json
    assert (rejected["state"], rejected["approved"]) == ("failed", False)
    assert "rollback" in rejected["next"]
    project.opsflow("resume", run, code=3)
    assert project.show(run).state == "rolled_back"
    assert "first" not in project.files()["one"]
    assert "errors" in project.show(run).nodes["ask@localhost"]["error"]["message"]


def test_while_another_host_is_at_work_an_approval_from_elsewhere_is_taken_up_at_once(project):
    beside = step("beside", HOLD, undo="true", hosts="two", needs=[])
    playbook = project.playbook(FIRST, asks(), THEN, beside)
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("two", "began").exists, during=process)
        eventually(lambda: project.show().nodes["ask@localhost"]["approval"], during=process)
        run = project.show().id
        assert "waiting ask@localhost" in project.opsflow("show", run).out
        project.opsflow("approve", run, "ask")
        eventually(project.on("one", "then").exists, during=process)
        project.on("two", "go").touch()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_killed_while_it_waits_it_waits_on_and_what_was_approved_in_between_is_approved(project):
    beside = step("beside", HOLD, undo="true", hosts="two", needs=[])
    playbook = project.playbook(FIRST, asks(), THEN, beside)
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("two", "began").exists, during=process)
        eventually(lambda: project.show().nodes["ask@localhost"]["approval"], during=process)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    project.on("two", "go").touch()
    project.opsflow("resume", code=7)
    run = project.show()
    assert run.states["then@one"] == "pending"
    project.opsflow("approve", run.id)
    project.opsflow("resume", run.id)
    assert project.show().state == "succeeded"
    assert project.files()["one"] == {"first": 1, "then": project.files()["one"]["then"]}
    assert project.files()["two"]["held"] == 1


def test_what_cannot_be_approved_is_refused_with_the_reason(project):
    also = asks("and this?").replace('"ask"', '"also"') + "needs = []\n"
    project.opsflow("apply", project.playbook(FIRST, asks(), THEN, also), "--yes", code=7)
    run = project.show().id

    def refused(*arguments):
        return project.opsflow("approve", run, *arguments, code=2).err

    several = refused()
    assert f"opsflow approve {run} ask" in several
    assert f"opsflow approve {run} also" in several
    assert "then waits for no approval: it is pending" in refused("then")
    assert "did you mean" in refused("aks")
    project.opsflow("approve", run, "also@localhost")
    project.opsflow("approve", run)
    assert "waits for no approval" in refused()
    project.opsflow("resume", run)
    assert "is over: it is succeeded" in refused()


class Terminal:
    """A command that somebody sits before."""

    def __init__(self, project, *arguments):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [OPSFLOW, *map(str, arguments)], cwd=project.directory, env=project.environment | {"TERM": "xterm"},
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def read_until(self, text, seconds=60):
        ends = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < ends, self.text
            self._read()

    def type(self, line):
        self.text = ""
        os.write(self.master, f"{line}\n".encode())

    def end(self):
        while self.process.poll() is None:
            self._read()
        os.close(self.master)
        return self.process.returncode

    def _read(self):
        if select.select([self.master], [], [], 0.1)[0]:
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # the other side is closed
                time.sleep(0.05)


HOW = "y: go on, n: refuse, later: leave it open? "


def test_who_is_at_the_terminal_is_asked_and_only_a_clear_word_is_an_answer(project):
    terminal = Terminal(project, "apply", project.playbook(FIRST, asks(), THEN), "--yes")
    terminal.read_until(f"is one well?\r\n{HOW}")
    assert project.show().state == "running"
    terminal.type("sure")
    terminal.read_until(HOW)
    terminal.type("")
    terminal.read_until(HOW)
    terminal.type("y")
    assert terminal.end() == 0, terminal.text
    (request,) = project.show().data["requests"]
    assert request["operator"].startswith(ME)
    assert project.on("one", "then").exists()


def test_who_leaves_it_open_at_the_terminal_finds_it_suspended_and_may_refuse_later(project):
    terminal = Terminal(project, "apply", project.playbook(FIRST, asks(), THEN), "--yes")
    terminal.read_until(HOW)
    terminal.type("later")
    assert terminal.end() == 7, terminal.text
    assert project.show().state == "suspended"
    terminal = Terminal(project, "resume")
    terminal.read_until(HOW)
    terminal.type("n")
    assert terminal.end() == 3, terminal.text
    assert project.show().state == "rolled_back"


def test_an_answer_from_elsewhere_ends_the_question_at_the_terminal(project):
    terminal = Terminal(project, "apply", project.playbook(FIRST, asks(), THEN), "--yes")
    terminal.read_until(HOW)
    project.opsflow("approve", project.show().id)
    terminal.read_until("answered elsewhere")
    assert terminal.end() == 0, terminal.text


def test_a_job_in_the_background_of_a_shell_is_suspended_and_not_stopped(project):
    project.playbook(FIRST, asks(), THEN)
    pid, master = pty.fork()
    if not pid:
        os.chdir(project.directory)
        os.environ.update(project.environment)
        script = f"set -m; {OPSFLOW} apply playbooks/test.toml --yes & sleep 0.1; wait $!; echo over=$?.; read _"
        os.execlp("sh", "sh", "-c", script)
    said = ""
    try:
        ends = time.monotonic() + 60
        while "over=" not in said or "." not in said.split("over=")[1]:
            assert time.monotonic() < ends, said
            if select.select([master], [], [], 0.1)[0]:
                said += os.read(master, 65536).decode(errors="replace")
    finally:
        os.write(master, b"\n")
        os.waitpid(pid, 0)
        os.close(master)
    assert "over=7." in said
    assert project.show().state == "suspended"


def test_pause_lets_what_runs_end_keeps_the_hosts_and_a_resume_goes_on(project):
    hold = step("hold", HOLD, undo="rm -f held", hosts="one")
    playbook = project.playbook(hold, step("next", "echo x >> next", undo="rm -f next", hosts="one"))
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", "began").exists, during=process)
        run = project.show().id
        paused = project.opsflow("pause", run, "--why", "the database looks odd")
        assert paused.out == f"run {run} will be suspended: waiting for 1 node: hold@one\n"
        assert f"next: opsflow resume {run}" in paused.err
        assert process.poll() is None
        project.on("one", "go").touch()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "(the database looks odd)" in said
    found = project.show()
    assert found.state == "suspended"
    assert found.states == {"hold@one": "succeeded", "next@one": "pending"}
    assert project.files()["one"]["held"] == 1
    assert "asked to pause by" in project.opsflow("show", run).out
    again = project.opsflow("pause", run, code=2)
    assert f"nobody drives run {run}" in again.err
    assert f"opsflow resume {run}" in again.err
    project.opsflow("resume", run)
    assert project.files()["one"] == {"began": 0, "go": 0, "held": 1, "next": 1}
