"""Other users of a host, by the real sudo."""

import hashlib
import io
import itertools
import json
import os
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from posixpath import dirname

import pytest

from opsflow.errors import AuthenticationFailed, Cancelled, Interrupted, TaskFailed, Unreachable
from opsflow.model import Connection, Host, Operation
from opsflow.testing import SshdFleet
from opsflow.testing.accounts import Accounts, missing
from opsflow.testing.sshd import sshd_path
from opsflow.transport.become import BecomeTransport, Password, Passwords
from opsflow.transport.local import LocalTransport
from opsflow.transport.pool import HostTransports

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


class Ground:
    """An ssh host with an account that may become another one.

    Attributes:
        login: Who logs in.
        other: Whom it may become.
    """

    def __init__(self, accounts):
        self.accounts = accounts
        self.login, self.other = accounts.make(), accounts.make()
        self.third = accounts.make()
        self.fetched = []
        self.fleet = SshdFleet(
            accounts.directory / "fleet", ["one"], first_address=f"127.0.143.{1 + WORKER}", user=self.login.name
        )

    def permit(self, rule, *more):
        """Rules of sudoers for the login; `{other}` and `{third}` are names."""
        names = {"login": self.login.name, "other": self.other.name, "third": self.third.name}
        self.accounts.permit(*(line.format(**names) for line in (f"{{login}} {rule}", *more) if line.strip()))
        self.accounts.log.unlink(missing_ok=True)

    def pool(self, password=""):
        """Transports over ssh; the password is fetched as the inventory's reference says."""

        def fetch(name):
            self.fetched.append(name)
            return password

        connection = self.fleet.connection("one")
        values = {name: getattr(connection, name) for name in connection.__slots__}
        host = Host(name="one", connection=Connection(**values | {"become_password": "env:PW" if password else ""}))
        return closing(HostTransports({"one": host}, passwords=Passwords(fetch)))


@pytest.fixture(scope="module")
def ground():
    reason = missing() or ("" if sshd_path() else "sshd is not installed")
    if reason:
        pytest.skip(reason)
    with Accounts() as accounts:
        made = Ground(accounts)
        with made.fleet:
            yield made


@pytest.fixture(autouse=True)
def _fresh(ground):
    ground.fetched.clear()


FREELY = "ALL=({other},{third}) NOPASSWD: ALL"
ASKED = "ALL=({other},{third},root) PASSWD: ALL"


@pytest.fixture
def op():
    """Operations of one run."""
    run, numbers = f"run-{secrets.token_hex(4)}", itertools.count(1)

    def op(attempt=None, number=1, epoch=1, **more):
        attempt = attempt or f"attempt-{next(numbers)}"
        return Operation(run=run, epoch=epoch, attempt=attempt, number=number, digest=f"{attempt}-{number}", **more)

    op.run = run
    return op


def test_everything_is_done_as_the_user_and_begins_in_its_home(ground, op):
    ground.permit(FREELY, 'Defaults:{login} env_keep += "HOME"')
    with ground.pool() as pool:
        shell = pool.to("one", ground.other.name)
        looks = "id -un; pwd; echo $HOME"
        expected = f"{ground.other.name}\n{ground.other.home}\n{ground.other.home}\n"
        assert shell.run(looks).stdout == expected
        assert shell.run(looks, op=op()).stdout == expected
        assert pool.to("one").run("id -un").stdout == f"{ground.login.name}\n"
        large = os.urandom(100_000)
        shell.put(io.BytesIO(b"small"), "small", op=op())
        shell.put(io.BytesIO(large), "large", op=op())
        shell.put(io.BytesIO(b"unrecorded"), "unrecorded")
        fed = shell.run("sha256sum", input=io.BytesIO(large), op=op())
        assert fed.stdout.split()[0] == hashlib.sha256(large).hexdigest()
        assert shell.get("large") == large
    for name in ("small", "large", "unrecorded"):
        found = (ground.other.home / name).stat()
        assert (found.st_uid, found.st_mode & 0o777) == (ground.other.uid, 0o600)


def test_users_share_one_login_and_have_records_of_their_own(ground, op):
    ground.permit(FREELY)
    before = ground.fleet.connections("one")
    with ground.pool() as pool:
        places = [
            json.loads(pool.to("one", user).claim(op.run, 1)) for user in ("", ground.other.name, ground.third.name)
        ]
        pool.release()
    assert ground.fleet.connections("one") == before + 1
    assert [place["uid"] for place in places] == [str(a.uid) for a in (ground.login, ground.other, ground.third)]
    homes = [ground.fleet.home("one"), ground.other.home, ground.third.home]
    assert [dirname(place["base"]) for place in places] == [f"{home}/.opsflow/ops" for home in homes]
    assert len({place["base_id"] for place in places}) == 3


def test_who_is_logged_in_already_needs_no_sudo(ground, op):
    ground.permit("ALL=({other}) ALL")  # not for itself
    with ground.pool() as pool:
        assert pool.to("one", ground.login.name).run("id -un", op=op()).stdout == f"{ground.login.name}\n"
    assert ground.accounts.logged() == 0


def test_the_password_is_asked_for_once_and_kept_in_memory(ground, op):
    ground.permit(ASKED, "Defaults:{login} lecture=always, timestamp_timeout=0")
    with ground.pool(ground.login.password) as pool:
        shell = pool.to("one", ground.other.name)
        for number in range(1, 21):
            assert shell.run("id -un", op=op("twenty", number)).stdout == f"{ground.other.name}\n"
        assert ground.accounts.logged() == 1
        ground.fleet.cut("one")
        assert shell.run("cat; echo read >&2", input=b"given", op=op()).stdout == "given"
        assert shell.run("echo quiet").stderr == ""
        assert pool.to("one", ground.third.name).run("id -un").stdout == f"{ground.third.name}\n"
    assert ground.fetched == ["env:PW"]
    assert ground.accounts.logged("incorrect") == 0
    assert ground.accounts.logged() == 3


def test_a_wrong_password_is_tried_once_whoever_asks(ground, op):
    ground.permit(ASKED)
    with ground.pool("wrong-one") as pool:

        def work(number):
            user = (ground.other, ground.third)[number % 2].name
            with pytest.raises(AuthenticationFailed) as caught:
                pool.to("one", user).run("id -un", op=op() if number < 3 else None)
            return caught.value

        with ThreadPoolExecutor(6) as threads:
            errors = list(threads.map(work, range(6)))
        pool.close()
        errors.append(work(0))
    wait_for(lambda: not sudos(ground.login))
    assert ground.accounts.logged("incorrect password") == 1
    assert ground.accounts.logged("a password is required") == 0
    for error in errors:
        assert "sudo does not accept the password" in error.message
        assert "one (" in error.message
        assert "nothing was tried twice" in error.hint
        assert "wrong-one" not in error.message + error.hint


@pytest.mark.parametrize("rule", [FREELY, ASKED])
def test_a_password_is_no_command_even_where_the_login_shell_prints_what_it_is_told(ground, rule, op):
    witness = ground.accounts.directory / "taken"
    password = f"touch {witness}"

    class Printing(LocalTransport):
        def start(self, arguments=(), **more):
            as_login = ("setpriv", "--reuid", ground.login.name, "--clear-groups", "--regid", str(ground.login.uid))
            return super().start((*as_login, "sh", "-xc", 'echo noise; "$@"', "sh", *arguments), **more)

    ground.permit(rule)
    shell = BecomeTransport(Printing(ground.accounts.directory), ground.other.name, Password(password))
    with closing(shell):
        if rule == FREELY:
            assert shell.run("id -un").stdout == f"{ground.other.name}\n"
            assert shell.run("id -un", op=op()).stdout == f"{ground.other.name}\n"
        else:
            with pytest.raises(AuthenticationFailed, match="does not accept"):
                shell.run("id -un")
    assert not witness.exists()
    wait_for(lambda: not sudos(ground.login))
    assert ground.accounts.logged("incorrect password") == (rule == ASKED)


REFUSALS = [
    ("rule", "password", "user", "said", "hint"),
    [
        (ASKED, "", "other", "sudo asks for a password, and there is none", "-K"),
        ("ALL=({third}) NOPASSWD: ALL", "right", "other", "does not permit the login user to become", "visudo"),
        ("ALL=({third}) NOPASSWD: /bin/nothing", "right", "other", "does not permit the login user", "visudo"),
        ("ALL=(ALL) NOPASSWD: ALL", "", "no-such-user", "there is no user no-such-user", "`become`"),
        (FREELY + "\nDefaults:{login} requiretty", "", "other", "sudo wants a terminal", "requiretty"),
    ],
]


@pytest.mark.parametrize(*REFUSALS)
def test_every_refusal_says_what_to_do(ground, rule, password, user, said, hint, op):
    ground.permit(*rule.split("\n"))
    name = ground.other.name if user == "other" else user
    with ground.pool(ground.login.password if password else "") as pool:
        for ask in (None, op()):
            with pytest.raises(AuthenticationFailed) as caught:
                pool.to("one", name).run("true", op=ask)
    assert said in caught.value.message
    assert f"as {name}" in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_host_without_sudo_says_so(tmp_path, monkeypatch, ground):
    for program in ("sh", "id"):
        (tmp_path / program).symlink_to(Path("/usr/bin") / program)
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        closing(BecomeTransport(LocalTransport(tmp_path), ground.other.name, Password())) as shell,
        pytest.raises(AuthenticationFailed, match=r"localhost as .*: sudo is not installed"),
    ):
        shell.run("true")


def test_a_sudo_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    from opsflow.transport import become

    monkeypatch.setattr(become, "_PATIENCE", 0.5)
    (tmp_path / "sudo").write_text("#!/bin/sh\necho 'Touch the key' >&2\nexec sleep 60\n")
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        closing(BecomeTransport(LocalTransport(tmp_path), "somebody", Password())) as shell,
        pytest.raises(Unreachable, match="Touch the key") as caught,
    ):
        shell.run("true")
    assert not isinstance(caught.value, AuthenticationFailed)


@pytest.mark.parametrize("value", ["two\nlines", "x" * 256, "carriage\rreturn"])
def test_what_no_password_can_be_is_refused_before_anything_is_sent(value):
    passwords = Passwords(lambda _: value)
    with pytest.raises(TaskFailed, match="env:PW") as caught:
        passwords.of(Host(name="one", connection=Connection(become_password="env:PW")))
    assert value not in caught.value.message


def test_what_was_typed_is_for_hosts_whose_inventory_names_nothing():
    passwords = Passwords(lambda name: f"value of {name}", "typed")
    own = Host(name="own", connection=Connection(become_password="env:PW"))
    assert passwords.of(own).value == "value of env:PW"
    assert passwords.of(Host(name="other", connection=Connection())).value == "typed"
    assert set(passwords.values()) == {"typed", "value of env:PW"}


def test_a_passphrase_is_a_secret_of_its_own_and_shown_nowhere():
    passwords = Passwords(lambda name: f"value of {name}", "typed")
    assert passwords.passphrase(Host(name="other", connection=Connection())) == ""
    assert passwords.passphrase(Host(name="own", connection=Connection(key_passphrase="env:KEY"))) == "value of env:KEY"
    assert "value of env:KEY" in passwords.values()


@pytest.mark.parametrize("recorded", [True, False])
def test_a_timeout_ends_what_runs_as_the_user(ground, recorded, op):
    ground.permit(FREELY)
    with ground.pool() as pool:
        shell = pool.to("one", ground.other.name)
        assert shell.run("sleep 977; true", timeout=1, op=op() if recorded else None).timed_out
        assert not sleeping(ground.other, "977")


def test_a_cancel_ends_what_runs_as_the_user(ground, op):
    ground.permit(FREELY)
    with ground.pool() as pool:
        shell = pool.to("one", ground.other.name)
        caught, mine = [], op()

        def work():
            try:
                shell.run("echo begun >begun; sleep 978", op=mine)
            except Interrupted as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda: sleeping(ground.other, "978"))
        shell.cancel(mine)
        thread.join(60)
        assert not sleeping(ground.other, "978")
        assert isinstance(caught[0], Cancelled)


def test_a_command_outlives_its_connection_and_is_found_again(ground, op):
    ground.permit(ASKED)
    witness = ground.other.home / "witness"
    mine, command = op("outlives"), "echo ran >>witness; sleep 1.5; echo end; exit 7"
    with ground.pool(ground.login.password) as pool:
        place = pool.to("one", ground.other.name).claim(op.run, 1)

        def work():
            with pytest.raises(Interrupted):
                pool.to("one", ground.other.name).run(command, op=mine)

        thread = threading.Thread(target=work)
        thread.start()
        wait_for(witness.exists)
        pool.close()  # as a controller that dies
        thread.join(60)
    with ground.pool(ground.login.password) as pool:
        shell = pool.to("one", ground.other.name)
        assert json.loads(shell.claim(op.run, 2)) == json.loads(place)
        again = op("outlives", epoch=2, place=place)
        result = shell.run(command, op=again)
        assert (result.exit_status, result.stdout) == (7, "end\n")
    assert witness.read_text() == "ran\n"


def test_several_users_with_much_to_do_leave_room_for_each_other(ground, op):
    ground.permit(FREELY)
    users = ("", ground.other.name, ground.third.name)
    with ground.pool() as pool, ThreadPoolExecutor(48) as threads:
        busy = [threads.submit(pool.to("one", user).run, "sleep 0.5", op=op()) for user in users for _ in range(16)]
        assert all(one.result(60).ok for one in busy)
        looks = [threads.submit(pool.to("one", user).get, "/etc/passwd") for user in users]
        assert all(look.result(60) for look in looks)
        assert len(pool.to("one")._kept) <= 5  # the first user's three, and one for each other


def test_a_server_that_allows_too_few_sessions_is_told_of(ground, op):
    ground.permit(FREELY)
    with SshdFleet(
        ground.accounts.directory / "strict",
        ["one"],
        first_address=f"127.0.143.{51 + WORKER}",
        sessions=1,
        user=ground.login.name,
    ) as strict:
        host = Host(name="one", connection=strict.connection("one"))
        with closing(HostTransports({"one": host})) as pool:
            assert pool.to("one").run("true", op=op()).ok
            with pytest.raises(Unreachable, match="opens no session") as caught:
                pool.to("one", ground.other.name).run("true", op=op())
    assert "MaxSessions" in caught.value.hint


def sleeping(account, seconds):
    return [pid for pid in account.processes() if _arguments(pid) == [b"sleep", seconds.encode()]]


def sudos(login):
    """The sudos that have something to do with the accounts of these tests."""
    mine = login.name.rpartition("-")[0].encode()
    found = [_arguments(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [words for words in found if words[:1] == [b"sudo"] and any(word.startswith(mine) for word in words)]


def _arguments(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def wait_for(holds):
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends, "nothing happened"
        time.sleep(0.01)
