"""The built-in tasks in the conformance suite; and tasks that keep one promise less, which it has to find out."""

import contextlib
import os
import shutil
import signal
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import create_model

from opsflow import Interrupted, Preview
from opsflow.testing import Case, check_conformance
from opsflow.transport.local import LocalTransport
from opsflow_tasks import (
    approve,
    backup_db,
    command,
    copy,
    deploy_app,
    migrate_db,
    notify,
    start_server,
    stop_server,
    template,
    wait_for,
)


@pytest.fixture
def check(home, tmp_path):
    """`check(TASK, LOOK, PARAMETER=VALUE, ...)`."""
    (tmp_path / "project").mkdir(exist_ok=True)

    def conforms(task, look, *, settles=True, **params):
        check_conformance(
            Case(
                task=task,
                params=params,
                host=LocalTransport(home),
                look=look,
                directory=tmp_path / "project",
                variables={"port": 7000, "password": "{{ secret('env:PW') }}"},
                secrets={"env:PW": "very-secret"},
                settles=settles,
            )
        )

    return conforms


def files(directory):
    """Names, permissions, times and contents of what is in a directory, but for backups."""

    def look():
        return {
            p.name: (p.lstat().st_mode, os.readlink(p) if p.is_symlink() else p.read_bytes())
            for p in directory.iterdir()
            if not p.name.startswith(".")
        }

    return look


class TestBuiltIn:
    def test_command(self, check, home):
        check(command, files(home), run="echo x >made", undo="rm -f made", creates="made")

    @pytest.mark.parametrize("there", ["nothing", "a file", "a link", "another mode"])
    def test_copy(self, check, home, there):
        if there == "a link":
            (home / "conf").symlink_to("nowhere")
        elif there != "nothing":
            (home / "conf").write_text("new\n" if there == "another mode" else "old\n")
        check(copy, files(home), content="new\n", dest="conf", mode="0600")

    def test_copy_of_a_large_file(self, check, home, tmp_path):
        (tmp_path / "project/large").write_bytes(os.urandom(200_000))
        (home / "large").write_text("old\n")
        check(copy, files(home), src="large", dest="./")

    def test_template(self, check, home, tmp_path):
        (tmp_path / "project/conf.j2").write_text("{{ port }} {{ password }} {{ more }}\n")
        check(template, files(home), src="conf.j2", dest="conf", vars={"more": "{{ x }}"})

    @pytest.mark.parametrize("phase", ["both", "stage", "switch"])
    @pytest.mark.parametrize("live", [False, True], ids=["first", "later"])
    def test_deploy_app(self, check, home, tmp_path, phase, live):
        app = tmp_path / "project/app"
        app.mkdir()
        (app / "program").write_text("1")
        (app / "data").write_text("1")
        deployed = {"artifact": "app", "path": "srv"}

        def look():
            at = home / "srv/current"
            return at.is_symlink() and (os.readlink(at), (at / "program").read_text())

        def deploy(release, phase):
            case = {**deployed, "release": release, "phase": phase}
            check(without_revert(deploy_app), look, **case)

        if live:
            deploy("1", "both")
            (app / "program").write_text("2")
        if phase == "switch":
            deploy("2", "stage")
        check(deploy_app, look, release="2", phase=phase, after_switch="true", **deployed)

    def test_backup_db_and_migrate_db(self, check, home, tmp_path):
        def look():
            with contextlib.closing(sqlite3.connect(home / "game.db")) as connection:
                tables = "SELECT sql FROM sqlite_master WHERE name NOT LIKE '%opsflow%' ORDER BY sql"
                return connection.execute(tables).fetchall(), connection.execute("SELECT * FROM old").fetchall()

        with contextlib.closing(sqlite3.connect(home / "game.db")) as connection:
            connection.executescript("CREATE TABLE old (x INT); INSERT INTO old VALUES (1)")
        scripts = tmp_path / "project/scripts"
        scripts.mkdir()
        (scripts / "0001_a.sql").write_text("CREATE TABLE a (x INT);\n")
        (scripts / "0001_a.undo.sql").write_text("DROP TABLE a;\n")
        database = {"engine": "sqlite", "database": "game.db"}
        check(migrate_db, look, scripts="scripts", **database)
        check(backup_db, look, directory="backups", **database)

    def test_stop_server_and_start_server(self, check, home):
        pidfile = home / "game.pid"

        def look():
            number = pidfile.read_text().strip() if pidfile.exists() else ""
            state = Path(f"/proc/{number}/stat")
            return bool(number) and state.exists() and ") Z" not in state.read_text()

        service = {
            "service": "game",
            "pidfile": "game.pid",
            "command": f"{shutil.which('sleep')} 600",
            "stay_up": "50ms",
        }
        try:
            check(start_server, look, **service)
            check(without_revert(start_server), look, **service)
            check(stop_server, look, stay_down="50ms", **service)
        finally:
            if look():
                os.kill(int(pidfile.read_text()), signal.SIGKILL)

    def test_wait_for(self, check, home):
        check(without_plan(wait_for), files(home), check="true", settles=False)

    def test_approve(self, check, home):
        check(approve, files(home), message="the maps are there?")

    def test_notify(self, check, home):
        check(notify, files(home), message="x", reverted="y", command="cat >/dev/null", settles=False)


def without_revert(task):
    """The task, which is then left done."""
    return SimpleNamespace(params=task.params, plan=task.plan, execute=task.execute)


def without_plan(task):
    return SimpleNamespace(params=task.params, execute=task.execute)


def made(**hooks):
    """A task that keeps a line in a file, as it should, but for these hooks."""

    def plan(ctx):
        if ctx.probe("test -e line").ok:
            return Preview.unchanged("there", outputs={"a": 1})
        return Preview.change("write", before={})

    def execute(ctx):
        ctx.run("echo x >line")
        ctx.write("other", "x")
        return {"a": 1}

    def revert(ctx):
        ctx.run("rm -f line")
        ctx.run("rm -f other")

    return SimpleNamespace(**{"plan": plan, "execute": execute, "revert": revert, **hooks})


def plan_that_writes(ctx):
    ctx.probe("touch seen")
    return Preview.change("write")


def plan_that_never_settles(ctx):
    return Preview.change("write")


def execute_with_other_outputs(ctx):
    made().execute(ctx)
    return {"a": 2}


def execute_that_hides_the_lost_link(ctx):
    with contextlib.suppress(Interrupted):
        made().execute(ctx)
    return {"a": 1}


def execute_that_does_more_each_time(ctx):
    ctx.run(f"echo {os.urandom(4).hex()} >line")
    ctx.write("other", "x")
    return {"a": 1}


def revert_that_needs_outputs(ctx, outputs):
    ctx.run("rm -f other" + (" line" if outputs else ""))


def revert_that_fails_the_second_time(ctx):
    ctx.run("rm line; rm other; true" if ctx.probe("test -e line").ok else "rm -f other; echo x >more")


class TestOnesThatDoNotConform:
    def test_the_one_that_they_are_made_from_does(self, check, home):
        check(made(), files(home))

    @pytest.mark.parametrize(
        ("hooks", "said"),
        [
            ({"plan": plan_that_writes}, "plan changes something"),
            ({"plan": plan_that_never_settles}, "plan says change, not unchanged"),
            ({"execute": execute_with_other_outputs}, "plan gives the outputs"),
            ({"outputs": lambda: create_model("Outputs", b=int)}, "not what the task declares: `b` is missing; `a` is"),
            ({"execute": execute_that_hides_the_lost_link}, "hides Interrupted"),
            ({"execute": execute_that_does_more_each_time}, "not deterministic|to the same end"),
            ({"revert": revert_that_needs_outputs}, "of execute, revert does not bring back"),
            ({"revert": revert_that_fails_the_second_time}, "a second revert does not bring back"),
            ({"revert": lambda ctx: ctx.run("rm -f line")}, "revert does not bring back"),
        ],
    )
    def test_what_is_not_kept_is_told(self, check, home, hooks, said):
        with pytest.raises(Exception, match=said):
            check(made(**hooks), files(home))
