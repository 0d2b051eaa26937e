"""`opsflow journal` and `opsflow unlock`: what operators do with the database of runs as a whole."""

import contextlib
import json
import os
import pty
import signal
import sqlite3
import stat
import subprocess
from contextlib import closing

from command_line import OPSFLOW, eventually, step

from opsflow.journal.tables import HEAD

TALK = step("talk", "echo one; echo x >> talk", undo="rm -f talk")
SLOW = step("slow", "echo > began; while [ ! -e go ]; do sleep 0.05; done; echo x >> slow", undo="rm -f slow")


def sql(project, statement):
    with closing(sqlite3.connect(project.directory / ".opsflow" / "journal.db")) as connection:
        return connection.execute(statement).fetchall() if "SELECT" in statement else connection.commit()


def change(project, statement):
    with closing(sqlite3.connect(project.directory / ".opsflow" / "journal.db")) as connection, connection:
        connection.execute(statement)


def age(project, run, days):
    """Let a run have ended so many days ago."""
    change(project, f"UPDATE runs SET finished = finished - {days * 86_400_000_000} WHERE id = '{run}'")


def applied(project):
    project.opsflow("apply", project.playbook(TALK), "--yes")
    return project.show().id


def answered(project, answer, *arguments):
    """Run a command at a terminal where somebody answers its question; exit code and what it said."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [OPSFLOW, *arguments], cwd=project.directory, env=project.environment, stdin=theirs, stderr=theirs,
        stdout=theirs, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # the terminal's end
            while data := os.read(ours, 65536):
                said += data
                if b"[y/N]" in said and answer:
                    os.write(ours, answer.encode() + b"\n")
                    answer = ""
        os.close(ours)
    return process.returncode, said.decode()


@contextlib.contextmanager
def killed(project):
    """A run whose process was killed in the middle; its commands have ended."""
    with project.started("apply", project.playbook(SLOW), "--yes") as process:
        eventually(lambda: all(project.on(host, "began").exists() for host in project.fleet.names), during=process)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    for host in project.fleet.names:
        project.on(host, "go").touch()
    yield project.show().id


# upgrade


def test_a_journal_of_an_earlier_version_is_upgraded_with_a_copy(project):
    applied(project)
    before = sql(project, "SELECT count(*) FROM attempts")
    assert project.opsflow("journal", "upgrade").out == (
        f"journal sqlite:///{project.directory}/.opsflow/journal.db: it has schema {HEAD} already\n"
    )
    change(project, "UPDATE journal_version SET version_num = '0003'")  # what came later can be there already
    done = project.opsflow("journal", "upgrade", "--output", "json").json
    assert (done["from"], done["to"]) == ("0003", HEAD)
    assert stat.S_IMODE(os.stat(done["copy"]).st_mode) == 0o600
    assert sql(project, "SELECT count(*) FROM attempts") == before
    project.opsflow("rollback", "--yes")


def test_a_newer_journal_is_refused_in_a_sentence(project):
    applied(project)
    change(project, "UPDATE journal_version SET version_num = '9999'")
    for command in (["runs"], ["journal", "upgrade"], ["unlock"]):
        refused = project.opsflow(*command, code=6)
        assert f"the journal has schema 9999, this opsflow knows schemas up to {HEAD}" in refused.err
        assert "use the newer opsflow" in refused.err


# export


def test_everything_is_exported_as_lines_or_as_an_array(project):
    playbook = project.playbook(step("secret", "cat", undo="true", hosts="one"), TALK)
    text = playbook.read_text()
    assert '"cat"' in text
    playbook.write_text(text.replace('"cat"', """"cat", input = "{{ secret('env:CANARY') }}\""""))
    project.opsflow("apply", playbook, "--yes", env={"CANARY": "s3cr3t-canary"})
    first = project.show().id
    second = applied(project)

    out = project.opsflow("journal", "export").out
    records = [json.loads(line) for line in out.splitlines()]
    assert {record["kind"] for record in records} == {"run", "plan", "node", "output"}
    assert list(dict.fromkeys(record["run"] for record in records)) == [first, second]
    assert "s3cr3t-canary" not in out
    assert "env:CANARY" in out
    node = next(r for r in records if r["kind"] == "node" and r["id"] == "talk@one")
    (attempt,) = node["attempts"]
    assert attempt["state"] == "succeeded"
    assert attempt["params"]["run"] == "echo one; echo x >> talk"
    assert "one\n" in [r["text"] for r in records if r["kind"] == "output"]

    only = project.opsflow("journal", "export", second[-5:], "--output", "json").json
    assert only == [record for record in records if record["run"] == second]
    assert project.opsflow("journal", "export", first, "nothing", code=2).out == ""


# prune


def test_old_runs_are_pruned_and_what_an_open_one_needs_is_not(project):
    old = applied(project)
    with killed(project) as held:
        pass
    age(project, old, 100)
    change(project, f"UPDATE runs SET started = started - 9000000000000 WHERE id = '{held}'")

    shown = project.opsflow("journal", "prune", "--older-than", "90d", "--dry-run")
    assert f"{held} stays: it is open, and holds hosts: opsflow unlock {held}" in shown.out
    assert shown.out.endswith("1 run would be removed\n")
    asked = project.opsflow("journal", "prune", "--older-than", "90d", code=7)
    assert f"Remove run {old} that ended before" in asked.err
    assert "say --yes" in asked.err
    assert len(project.opsflow("runs", "--output", "json").json) == 2

    done = project.opsflow("journal", "prune", "--older-than", "90d", "--yes", "--vacuum", "--output", "json").json
    assert done["removed"] == [old]
    assert done["free"] == 0
    assert [run["id"] for run in project.opsflow("runs", "--output", "json").json] == [held]
    project.opsflow("show", old, code=2)
    project.opsflow("resume")
    assert project.show().state == "succeeded"


def test_who_is_asked_may_say_no(project):
    old = applied(project)
    age(project, old, 100)
    code, said = answered(project, "n", "journal", "prune", "--older-than", "90d")
    assert (code, f"Remove run {old}" in said, "nothing was removed" in said) == (1, True, True)
    project.show(old)
    code, said = answered(project, "y", "journal", "prune", "--older-than", "90d")
    assert (code, "1 run removed" in said) == (0, True)
    project.opsflow("show", old, code=2)


def test_an_age_that_is_none_is_refused(project):
    refused = project.opsflow("journal", "prune", "--older-than", "90 days", code=2)
    assert "--older-than 90 days: not a duration" in refused.err
    project.opsflow("journal", "prune", code=2)


# unlock


def test_nothing_held_is_nothing_to_unlock(project):
    applied(project)
    assert project.opsflow("unlock").out == "no host is held\n"
    assert (
        "no host three is held, and no run's id begins with 'three'" in project.opsflow("unlock", "three", code=2).err
    )


def test_what_a_dead_run_holds_is_freed_after_a_question_that_names_it(project):
    with killed(project) as held:
        pass
    refused = project.opsflow("apply", project.playbook(TALK), "--yes", code=5)
    assert held in refused.err
    asked = project.opsflow("unlock", "one", code=7)
    for told in (held, "state running", "holds 2 hosts (one, two)", "its process is gone"):
        assert told in asked.err
    listed = project.opsflow("unlock")  # nobody is there to be asked
    assert (held in listed.out, "opsflow unlock HOST" in listed.err) == (True, True)
    code, said = answered(project, "n", "unlock", held)
    assert (code, "nothing was changed" in said) == (1, True)
    project.opsflow("apply", project.playbook(TALK), "--yes", code=5)

    code, said = answered(project, "y", "unlock")
    assert (code, f"2 hosts of run {held} freed" in said) == (0, True)
    applied(project)


def test_what_a_living_run_holds_is_not_freed(project):
    with project.started("apply", project.playbook(SLOW), "--yes") as process:
        eventually(project.on("one", "began").exists, during=process)
        for which in ([], ["one"], [project.show().id]):
            refused = project.opsflow("unlock", *which, "--yes", code=5)
            assert f"process {process.pid} is at work on it" in refused.err
            assert "opsflow cancel" in refused.err
        assert f"process {process.pid}" in project.opsflow("unlock").out
        for host in project.fleet.names:
            project.on(host, "go").touch()
        assert process.wait(60) == 0


def test_of_several_holders_one_must_be_named(project):
    for host in ("one", "two"):
        playbook = project.playbook(step("fails", "exit 1", undo="true", hosts=host, on_failure="halt"))
        project.opsflow("apply", playbook, "--yes", code=1)
    second = project.show().id
    listed = project.opsflow("unlock", "--yes")
    assert len(listed.out.splitlines()) == 3
    assert "opsflow unlock HOST" in listed.err
    done = project.opsflow("unlock", "two", "--yes", "--output", "json").json
    assert done["freed"] == ["two"]
    assert [(holder["id"], holder["driver"]) for holder in done["holders"]] == [(second, None)]
    assert [h["hosts"] for h in project.opsflow("unlock", "one", "--yes", "--output", "json").json["holders"]] == [
        ["one"]
    ]
    assert project.opsflow("unlock").out == "no host is held\n"
