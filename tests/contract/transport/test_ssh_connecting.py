"""How connections are made, and refused."""

import inspect
import socket
import subprocess
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import fabric
import paramiko
import pytest

from opsflow.errors import AuthenticationFailed, HostKeyRejected, Unreachable
from opsflow.model import Connection, Host
from opsflow.transport.dial import dial
from opsflow.transport.refusals import FOREIGN
from opsflow.transport.ssh import SshTransport


@pytest.fixture
def open_to(fleet):
    """Makes transports to the fleet's first host, something about the connection changed."""
    made = []

    def make(**changes):
        made.append(SshTransport(Host(name="one", connection=replace(fleet.connection("one"), **changes))))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def another_key(tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "another"], check=True)
    return tmp_path / "another"


def fingerprint(fleet):
    key = fleet.directory / ".fleet" / "one" / "host_key.pub"
    return subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]


def test_an_unknown_host_key_is_refused_and_the_hint_makes_it_known(fleet, open_to, tmp_path):
    known_hosts = tmp_path / "known"
    before = fleet.connections("one")
    with pytest.raises(HostKeyRejected, match="is not known") as refused:
        open_to(known_hosts=str(known_hosts)).run("true")
    where = fleet.connection("one")
    assert fingerprint(fleet) in refused.value.message
    assert f"one ({where.user}@{where.address}:{where.port})" in refused.value.message
    assert fleet.connections("one") == before

    command = refused.value.hint.split("then: ")[1]
    assert command == f"ssh-keyscan -p {where.port} {where.address} >> {known_hosts}"
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert open_to(known_hosts=str(known_hosts)).run("true").ok


def test_a_changed_host_key_is_refused(fleet, open_to, another_key, tmp_path):
    where = fleet.connection("one")
    known_hosts = tmp_path / "known"
    key = another_key.with_suffix(".pub").read_text()
    known_hosts.write_text(f"[{where.address}]:{where.port} {key}")
    with pytest.raises(HostKeyRejected, match="is not the one that is known") as refused:
        open_to(known_hosts=str(known_hosts)).run("true")
    assert fingerprint(fleet) in refused.value.message
    assert f"ssh-keygen -R '[{where.address}]:{where.port}' -f {known_hosts}" in refused.value.hint


def test_a_revoked_host_key_is_refused(fleet, open_to, tmp_path):
    known_hosts = tmp_path / "known"
    known = Path(fleet.connection("one").known_hosts).read_text().splitlines()[0]
    known_hosts.write_text(f"{known}\n@revoked {known}\n")
    with pytest.raises(HostKeyRejected):
        open_to(known_hosts=str(known_hosts)).run("true")


def test_a_hashed_known_host_is_known(fleet, open_to, tmp_path):
    known_hosts = tmp_path / "known"
    known_hosts.write_text(Path(fleet.connection("one").known_hosts).read_text())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known_hosts], check=True, capture_output=True)
    assert fleet.connection("one").address not in known_hosts.read_text()
    assert open_to(known_hosts=str(known_hosts)).run("true").ok


def test_a_key_that_opens_nothing_is_told(open_to, another_key):
    with pytest.raises(AuthenticationFailed, match=r"cannot log in to one \(.*@127.*:\d+\)"):
        open_to(key_file=str(another_key)).run("true")


def test_a_missing_key_file_is_told(open_to):
    with pytest.raises(AuthenticationFailed, match="there is no key file /no/such/key"):
        open_to(key_file="/no/such/key").run("true")


def test_a_locked_key_file_is_told(open_to, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked"], check=True)
    with pytest.raises(AuthenticationFailed):
        open_to(key_file=str(tmp_path / "locked")).run("true")


def test_a_refused_connection_is_told(open_to):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unreachable, match=rf"cannot reach one \(.*@127\.0\.0\.1:{port}\): connection refused"):
            open_to(address="127.0.0.1", port=port).run("true")


def test_a_name_that_does_not_exist_is_told(open_to):
    with pytest.raises(Unreachable, match=r"nowhere\.invalid:\d+\): its name cannot be resolved"):
        open_to(address="nowhere.invalid").run("true")


def test_a_server_that_says_nothing_is_not_waited_for_longer_than_allowed(open_to):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unreachable, match="cannot reach one"):
        open_to(address="127.0.0.1", port=silent.getsockname()[1], connect_timeout=0.5).run("true")


def test_a_server_that_hangs_up_is_told(open_to):
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up():
            rude.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Unreachable, match="cannot reach one"):
            open_to(address="127.0.0.1", port=rude.getsockname()[1]).run("true")
        thread.join()


def test_a_jump_host_is_passed_through(fleet, open_to):
    jump = fleet.connection("two")
    before = fleet.connections("two")
    transport = open_to(jump=(f"{jump.user}@{jump.address}:{jump.port}",))
    assert transport.run("pwd").stdout == f"{fleet.home('one')}\n"
    assert fleet.connections("two") == before + 1


def test_the_key_of_a_jump_host_is_checked_too(fleet, open_to, tmp_path):
    jump = fleet.connection("two")
    known_hosts = tmp_path / "known"
    known_hosts.write_text(Path(fleet.connection("one").known_hosts).read_text().splitlines()[0])
    with pytest.raises(HostKeyRejected, match=rf"{jump.address}:{jump.port}\) is not known"):
        open_to(jump=(f"{jump.user}@{jump.address}:{jump.port}",), known_hosts=str(known_hosts)).run("true")


def test_ssh_config_is_honoured(fleet, tmp_path, monkeypatch):
    target, jump = fleet.connection("one"), fleet.connection("two")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(f"""
Host alias
    HostName {target.address}
    Port {target.port}
    ProxyJump bastion
Host bastion
    HostName {jump.address}
    Port {jump.port}
Host *
    User {target.user}
    IdentityFile {target.key_file}
    UserKnownHostsFile {target.known_hosts}
""")
    monkeypatch.setenv("HOME", str(tmp_path))
    before = fleet.connections("two")
    transport = SshTransport(Host(name="h", connection=Connection(address="alias")))
    assert transport.run("pwd").stdout == f"{fleet.home('one')}\n"
    assert fleet.connections("two") == before + 1
    transport.close()


def test_the_users_known_hosts_are_the_default(fleet, tmp_path, monkeypatch):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(Path(fleet.connection("one").known_hosts).read_text())
    monkeypatch.setenv("HOME", str(tmp_path))
    transport = SshTransport(Host(name="one", connection=replace(fleet.connection("one"), known_hosts=None)))
    assert transport.run("true").ok
    transport.close()


FOREIGN_ERRORS = [
    paramiko.SSHException("Error reading SSH protocol banner"),
    paramiko.AuthenticationException("Authentication failed."),
    paramiko.PasswordRequiredException("private key file is encrypted"),
    paramiko.BadAuthenticationType("Bad authentication type", ["password"]),
    paramiko.ssh_exception.PartialAuthentication(["password"]),
    paramiko.ssh_exception.UnableToAuthenticate("no"),
    paramiko.ChannelException(1, "Administratively prohibited"),
    paramiko.BadHostKeyException("h", paramiko.RSAKey.generate(1024), paramiko.RSAKey.generate(1024)),
    paramiko.ssh_exception.IncompatiblePeer("no common algorithm"),
    paramiko.ProxyCommandFailure("nc", "not found"),
    paramiko.ssh_exception.NoValidConnectionsError({("127.0.0.1", 22): ConnectionRefusedError(111, "refused")}),
    paramiko.CouldNotCanonicalize("h"),
    paramiko.ConfigParseError("line 1"),
    paramiko.ssh_exception.MessageOrderError("order"),
    socket.gaierror(-2, "Name or service not known"),
    TimeoutError("timed out"),
    OSError(113, "No route to host"),
    ConnectionResetError(104, "Connection reset by peer"),
    PermissionError(13, "Permission denied", "/key"),
    EOFError(),
    ValueError("bad port"),
]


def test_the_list_of_foreign_errors_is_complete():
    theirs = {
        kind for kind in vars(paramiko.ssh_exception).values() if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    assert theirs <= {type(error) for error in FOREIGN_ERRORS}


@pytest.mark.parametrize("error", FOREIGN_ERRORS, ids=lambda e: type(e).__name__)
def test_every_foreign_error_becomes_one_of_ours_and_names_the_host(error, monkeypatch, fleet):
    assert isinstance(error, FOREIGN)

    def fail(_):
        raise error

    monkeypatch.setattr(fabric.Connection, "open", fail)
    host = Host(name="one", connection=replace(fleet.connection("one"), connect_timeout=0.1))
    with pytest.raises(Unreachable, match=r"one \(.+@127\..+:\d+\)") as raised:
        dial(host, gate=nullcontext())
    assert raised.value.__cause__ is error
    assert isinstance(raised.value, AuthenticationFailed) == (
        isinstance(error, paramiko.AuthenticationException | PermissionError)
    )
