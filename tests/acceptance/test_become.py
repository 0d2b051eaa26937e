"""Steps that are done as another user, by the real command line and the real sudo."""

import json
import os
import signal
from contextlib import closing, contextmanager

import pytest
from command_line import Project, eventually, step
from watching import Watched

from opsflow.journal import SqlJournal
from opsflow.testing.accounts import Accounts, missing
from opsflow.testing.sshd import sshd_path

PASSWORD = "Tr0ub4dor&3 'quoted'"
REFERENCE = "become_password = \"{{ secret('file:sudo.pw') }}\"\n"


class Ground:
    """A project with one host, whose login may become another account.

    Attributes:
        other: That account.
    """

    def __init__(self, accounts):
        self.accounts = accounts
        self.login, self.other = accounts.make(PASSWORD), accounts.make()
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        self.project = Project(
            accounts.directory / "project", ["one"], first_address=f"127.0.143.{101 + worker}", user=self.login.name
        )

    def prepare(self, password, *, free=False):
        """A project whose inventory names a password; `free`: sudo does not ask for it."""
        inventory = self.project.fleet.inventory().replace("[ssh]\n", f"[ssh]\n{REFERENCE}")
        self.project.write("inventories/fleet.toml", inventory)
        self.project.write("sudo.pw", password + "\n").chmod(0o600)
        asks = "NOPASSWD" if free else "PASSWD"
        self.accounts.permit(f"{self.login.name} ALL=({self.other.name},root) {asks}: ALL")
        self.accounts.log.unlink(missing_ok=True)
        return self.project

    def head(self, user=None):
        return f'[defaults]\nbecome = "{user or self.other.name}"\n'


@pytest.fixture(scope="module")
def ground():
    reason = missing() or ("" if sshd_path() else "sshd is not installed")
    if reason:
        pytest.skip(reason)
    with Accounts() as accounts:
        made = Ground(accounts)
        with made.project:
            yield made


@contextmanager
def no_password_leaks(ground):
    """Nothing that the block does shows the password. Yields a list for what was printed."""
    printed = []
    with Watched("cmdline", "environ") as watched:
        yield printed
    assert PASSWORD not in "".join(printed)
    assert not watched.hold(PASSWORD), "a process showed the password"
    for path in ground.accounts.directory.rglob("*"):
        if path.is_file() and path.name not in {"sudo.pw", "told"}:
            assert PASSWORD.encode() not in path.read_bytes(), f"{path} holds the password"
    # It has looked where there was something to see.
    assert watched.hold("opsflow")
    assert watched.hold("sudo\0-H\0-S")
    with closing(SqlJournal.open(f"sqlite:///{ground.project.directory}/.opsflow/journal.db")) as journal:
        plan = json.dumps(journal.plan(journal.find(None).id))  # it is compressed in the file
    assert PASSWORD not in plan
    assert "file:sudo.pw" in plan


def test_a_procedure_runs_and_is_put_back_as_another_user_and_the_password_stays_unseen(ground):
    project = ground.prepare(PASSWORD)
    other = ground.other
    (other.home / "told").write_text(PASSWORD)
    (other.home / "told").chmod(0o644)
    steps = [step(f"s{n}", f"touch s{n}", undo=f"rm s{n}") for n in range(10)]
    playbook = project.playbook(
        step("who", "id -un", changes=False),
        *steps,
        step("tells", "cat told; cat told >&2; sleep 0.2", changes=False),
        step("login", "id -un", become=False, changes=False),
        head=ground.head(),
    )
    with no_password_leaks(ground) as printed:
        done = project.opsflow("apply", playbook, "--yes", "-v", "--debug", "--output", "jsonl")
        printed += [done.out, done.err, project.opsflow("show", "--output", "json").out]
        run = project.show()
    assert run.nodes["who@one"]["outputs"]["stdout"] == other.name
    assert run.nodes["login@one"]["outputs"]["stdout"] == ground.login.name
    assert run.nodes["tells@one"]["outputs"]["stdout"] == "***"
    assert all((other.home / f"s{n}").stat().st_uid == other.uid for n in range(10))
    assert ground.accounts.logged("incorrect") == 0
    assert ground.accounts.logged() == 2  # one to look whether sudo lets us, one for all steps
    project.opsflow("rollback", "--yes")
    assert not list(other.home.glob("s?"))


def test_a_wrong_password_fails_once_and_says_so(ground):
    project = ground.prepare("not-it-4711")
    playbook = project.playbook(
        *(step(f"s{n}", "touch never", undo="true", needs=[]) for n in range(6)), head=ground.head()
    )
    ended = project.opsflow("apply", playbook, "--yes", "-v", code=1)  # before anything is touched
    assert "nothing was changed" in ended.err
    assert "sudo does not accept the password" in ended.out + ended.err
    assert "not-it-4711" not in ended.out + ended.err
    eventually(lambda: ground.accounts.logged("incorrect password"))
    assert ground.accounts.logged("incorrect password") == 1
    assert not (ground.other.home / "never").exists()


def test_a_killed_controller_is_followed_by_one_that_is_the_same_user_again(ground):
    project = ground.prepare(PASSWORD)
    other = ground.other
    waits = "echo ran >>witness; while [ ! -e go ]; do sleep 0.05; done; echo end"
    playbook = project.playbook(
        step("waits", waits, undo="rm witness"), step("after", "echo ran >>after", undo="true"), head=ground.head()
    )
    with project.started("apply", playbook, "--yes") as controller:
        eventually((other.home / "witness").exists, during=controller)
        controller.send_signal(signal.SIGKILL)
        controller.wait()
    (other.home / "go").touch()
    project.opsflow("resume")
    run = project.show()
    assert (run.state, run.nodes["waits@one"]["outputs"]["stdout"]) == ("succeeded", "end")
    assert (other.home / "witness").read_text() == "ran\n"
    assert (other.home / "after").read_text() == "ran\n"
    assert len(run.nodes["waits@one"]["attempts"]) == 1


def test_a_dry_run_looks_as_root(ground):
    project = ground.prepare("", free=True)
    project.write("inventories/fleet.toml", project.fleet.inventory())
    playbook = project.playbook(
        step("hidden", "touch shown", creates=str(ground.other.home / ".profile"), undo="rm shown"),
        head="[defaults]\nbecome = true\n",
    )
    (ground.other.home / ".profile").touch()
    (node,) = project.opsflow("plan", playbook, "--output", "json").json["nodes"]
    assert node["action"] == "unchanged"
    (node,) = project.opsflow(
        "plan",
        project.playbook(step("hidden", "touch shown", creates=str(ground.other.home / ".profile"), undo="rm shown")),
        "--output",
        "json",
    ).json["nodes"]
    assert node["action"] == "change"  # whoever is logged in cannot see it
