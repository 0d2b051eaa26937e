"""What of ssh_config is heeded, by logging in to real servers; and what is refused because it cannot be."""

import getpass
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from ssh_ground import User, addresses, agent, block

from opsflow.errors import AuthenticationFailed, Unreachable
from opsflow.model import Connection, Host
from opsflow.testing import SshdFleet
from opsflow.testing.processes import below
from opsflow.transport.route import route

PROXY = """
import socket, sys, threading
link = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while data := link.recv(65536):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    import os
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := sys.stdin.buffer.raw.read(65536):
    link.sendall(data)
"""


@pytest.fixture
def user(tmp_path, monkeypatch, fleet):
    user = User(tmp_path / "home", monkeypatch)
    user.knows(fleet)
    yield user
    user.close()


def way(name="alias", **how):
    """The host itself, as it would be reached."""
    return route(Host(name="host", connection=Connection(address=name, **how)))[-1]


def reaches(who, fleet, name="alias", **how):
    return who.to(name, **how).run("pwd").stdout == f"{fleet.home('one')}\n"


def test_an_alias_leads_to_its_address_port_user_and_key(fleet, user):
    user.config(block("alias", fleet, "one", f"IdentityFile {fleet.client_key}"))
    assert reaches(user, fleet)
    assert "alias" not in user.made[0].where
    assert "{}:{}".format(*addresses(fleet, "one")) in user.made[0].where


def test_the_inventory_wins_over_ssh_config(fleet, user):
    address, port = addresses(fleet, "one")
    user.config(f"Host alias\n  HostName {address}\n  Port 9\n  User nobody\n  IdentityFile /no/key\n")
    assert reaches(user, fleet, port=port, user=fleet.user, key_file=str(fleet.client_key))


@pytest.mark.parametrize(
    "heading",
    [
        "Host alias",
        "Host al*",
        "Host other ali?s",
        "Host *as !other",
        'Host "alias"',
        "Match host ali*",
        "Match originalhost alias user {user}",
        "Match Host alias # a comment",
        "Match !host other",
        "Match localuser {user}",
        "Match all",
        "host=alias",
    ],
)
def test_a_block_holds_for_the_hosts_that_it_names(fleet, user, heading):
    address, port = addresses(fleet, "one")
    user.config(
        f"{heading.format(user=fleet.user)}\n  Hostname={address}\n  Port {port} # its own\n"
        f'  identityfile "{fleet.client_key}"\n'
    )
    assert reaches(user, fleet)


@pytest.mark.parametrize("heading", ["Host other", "Host * !alias", "Match host other", "Match user x"])
def test_a_block_does_not_hold_for_others(fleet, user, heading):
    user.config(f"{heading}\n  Port 2\nHost *\n  Port 3\n")
    assert way().port == 3


def test_the_first_value_counts_and_the_users_file_is_first(user):
    user.config("Host alias\n  Port 1\n  Port 2\nHost *\n  Port 3\n  User someone\n")
    assert (way().port, way().identities.user) == (1, "someone")
    assert way(port=5, user="x").identities.user == "x"
    assert way(port=5).port == 5


def test_files_are_included(fleet, user):
    (user.ssh / "conf.d").mkdir()
    user.config(block("alias", fleet, "one"), "conf.d/1-alias.conf")
    user.config(f"IdentityFile {fleet.client_key}\n", "conf.d/2-key.conf")
    user.config("Port 9\n", "conf.d/not-this-one")
    user.config("Include conf.d/*.conf ~/.ssh/missing\nHost *\n  Port 9\n")
    assert reaches(user, fleet)


def test_a_file_is_included_for_the_hosts_of_its_block(user):
    user.config("Port 7\n", "port")
    user.config("Host alias\n  Include port\n  User x\nHost *\n  Port 8\n  User y\n")
    assert (way("alias").port, way("alias").identities.user) == (7, "x")
    assert (way("other").port, way("other").identities.user) == (8, "y")


def test_a_block_goes_on_after_what_was_included_before_it(user):
    user.config("Host other\n  Port 7\n", "inner")
    user.config("Include inner\nPort 8\n")
    assert (way("alias").port, way("other").port) == (8, 7)


def test_a_file_with_hosts_of_its_own_within_a_block_is_refused(user):
    user.config("Host x\n  Port 7\n", "inner")
    user.config("Host alias\n  Include inner\n")
    with pytest.raises(Unreachable, match=r"config:2: .*inner is included for some hosts only") as refused:
        way()
    assert "before the first Host" in refused.value.hint


def test_files_that_include_themselves_are_refused(user):
    user.config("Include config\n")
    with pytest.raises(Unreachable, match="include one another"):
        way()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('Host *\nMatch exec "true"\n  Port 9\n', r"config:2: `Match exec` is not supported"),
        ("Match host a tagged x\n  Port 9\n", r"config:1: `Match tagged` is not supported"),
        ("Match localnetwork 10.0.0.0/8\n", r"`Match localnetwork` is not supported"),
        ("RevokedHostKeys /etc/revoked\n", "revokedhostkeys"),
        ("ProxyUseFdpass yes\n", "proxyusefdpass"),
        ("UserKnownHostsFile ~/.ssh/known_%h\n", "%h in userknownhostsfile"),
        ("ProxyCommand nc %n %p\n", "%n in proxycommand"),
        ("Port http\n", "port 'http'"),
        ("ConnectTimeout soon\n", "connecttimeout 'soon'"),
        ("ProxyJump a:b:c@d\n", "names no host"),
        ("nonsense\n", "Unparsable line nonsense"),
    ],
)
def test_what_cannot_be_heeded_and_matters_is_refused(user, text, message):
    user.config(text)
    with pytest.raises(Unreachable, match=message):
        user.to("alias").run("true")


@pytest.mark.parametrize("text", ["RevokedHostKeys none\n", "ProxyUseFdpass no\n", "ForwardAgent yes\n", "Ciphers x\n"])
def test_what_does_not_matter_is_passed_over(fleet, user, text):
    user.config(text + block("alias", fleet, "one", f"IdentityFile {fleet.client_key}"))
    assert reaches(user, fleet)


def test_an_option_that_may_be_the_reason_is_named_when_a_host_cannot_be_reached(user):
    user.config("Host alias\n  HostName 127.0.0.1\n  Port 9\n  BindAddress 10.0.0.1\n")
    with pytest.raises(Unreachable, match="refused") as refused:
        user.to("alias", connect_timeout=0.1).run("true")
    assert "BindAddress" in refused.value.hint


def test_of_several_keys_the_right_one_is_found(fleet, user):
    wrong = user.key("wrong")
    keys = ("/no/such/key", wrong, fleet.client_key)
    user.config(block("alias", fleet, "one", *(f"IdentityFile {key}" for key in keys)))
    assert reaches(user, fleet)


def test_with_identitiesonly_the_other_keys_of_the_agent_are_not_tried(fleet, user, monkeypatch):
    others = [user.key(f"other{n}") for n in range(7)]  # more than a server takes
    text = block("alias", fleet, "one", "IdentityFile /no/such/key", f"IdentityFile {fleet.client_key}")
    with agent(*others, fleet.client_key, monkeypatch=monkeypatch):
        user.config(text.replace("/no/such/key", str(others[0])) + "    IdentitiesOnly yes\n")
        assert reaches(user, fleet)
        user.config(block("alias", fleet, "one", "IdentityFile /no/such/key"))
        with pytest.raises(AuthenticationFailed, match=r"it hung up after these keys: other0 \(of the agent\)"):
            user.to("alias").run("true")
        user.config(block("alias", fleet, "one", "IdentityFile /no/such/key", "IdentitiesOnly yes"))
        with pytest.raises(AuthenticationFailed, match="there is no key to try"):
            user.to("alias").run("true")


def test_an_agent_of_its_own_is_asked_and_none_if_so_said(fleet, user, monkeypatch):
    with agent(fleet.client_key, monkeypatch=monkeypatch) as socket:
        monkeypatch.setenv("MY_AGENT", socket)
        monkeypatch.delenv("SSH_AUTH_SOCK")
        user.config(block("alias", fleet, "one", f"IdentityAgent {socket}"))
        assert reaches(user, fleet)
        user.config(block("alias", fleet, "one", "IdentityAgent $MY_AGENT"))
        assert reaches(user, fleet)
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        user.config(block("alias", fleet, "one", "IdentityAgent none"))
        with pytest.raises(AuthenticationFailed, match="there is no key to try"):
            user.to("alias").run("true")


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.parametrize("where", ["beside", "named", "agent"])
def test_a_certificate_lets_in(user, tmp_path, monkeypatch, kind, where):
    authority, key = user.key("authority"), user.key("mine", kind=kind)
    names = ["-I", "me", "-n", getpass.getuser()]
    subprocess.run(["ssh-keygen", "-q", "-s", authority, *names, f"{key}.pub"], check=True, capture_output=True)
    options = [f"TrustedUserCAKeys {authority}.pub", "AuthorizedKeysFile none"]
    with SshdFleet(tmp_path / "own", ["one"], first_address="127.0.144.20", options=options) as own:
        user.knows(own)
        more = [f"IdentityFile {key}"]
        if where == "named":
            certificate = user.ssh / "certificate"
            (user.ssh / "mine-cert.pub").rename(certificate)
            more.append(f"CertificateFile {certificate}")
        user.config(block("alias", own, "one", *more))
        if where == "agent":
            with agent(key, monkeypatch=monkeypatch):
                key.rename(f"{key}.gone")
                (user.ssh / "mine-cert.pub").unlink()
                assert reaches(user, own)
        else:
            assert reaches(user, own)
        user.close()


def test_known_hosts_files_of_ones_own_are_read(fleet, user):
    (user.ssh / "known_hosts").rename(user.ssh / "second")
    text = block("alias", fleet, "one", f"IdentityFile {fleet.client_key}")
    user.config(text + "    UserKnownHostsFile ~/.ssh/first ~/.ssh/second\n")
    assert reaches(user, fleet)
    user.config(text + "    UserKnownHostsFile none\n    GlobalKnownHostsFile ~/.ssh/second\n")
    assert reaches(user, fleet)


def test_a_host_is_known_under_its_alias(fleet, user):
    key = (user.ssh / "known_hosts").read_text().split("\n")[0].partition(" ")[2]
    user.config(block("alias", fleet, "one", f"IdentityFile {fleet.client_key}", "HostKeyAlias the-one"))
    (user.ssh / "known_hosts").write_text(f"the-one {key}\n")
    assert reaches(user, fleet)


def test_times_are_heeded(user):
    user.config("Host alias\n  ConnectTimeout 7\n  ServerAliveInterval 11\n")
    assert (way().timeout, way().keepalive) == (7, 11)
    assert (way(connect_timeout=0.5, keepalive=0).timeout, way(connect_timeout=0.5, keepalive=0).keepalive) == (0.5, 0)
    assert (way("other").timeout, way("other").keepalive) == (15, 30)


def test_a_server_that_stays_silent_is_given_the_time_of_ssh_config(user):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        user.config(f"Host alias\n  HostName 127.0.0.1\n  Port {silent.getsockname()[1]}\n  ConnectTimeout 1\n")
        began = time.monotonic()
        with pytest.raises(Unreachable, match="cannot reach host"):
            user.to("alias").run("true")
        assert time.monotonic() - began < 10


def test_signs_of_life_are_sent(fleet, user):
    """Counted on the way: an idle connection is not silent."""
    address, port = addresses(fleet, "one")
    with socket.create_server(("127.0.0.1", 0)) as middle:
        heard = []
        threading.Thread(target=_relay, args=(middle, (address, port), heard), daemon=True).start()
        alias = f"[{address}]:{port}"
        user.config(
            f"Host alias\n  HostName 127.0.0.1\n  Port {middle.getsockname()[1]}\n  HostKeyAlias {alias}\n"
            f"  IdentityFile {fleet.client_key}\n  ServerAliveInterval 1\n"
        )
        transport = user.to("alias")
        assert transport.run("true").ok
        before, ends = len(heard), time.monotonic() + 20
        while len(heard) < before + 3 and time.monotonic() < ends:
            time.sleep(0.05)
        assert len(heard) >= before + 3
        transport.close()


def _relay(middle, there, heard):
    near, _ = middle.accept()
    far = socket.create_connection(there)

    def pass_on(source, sink, note):
        while data := source.recv(65536):
            note(len(data))
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=pass_on, args=(far, near, lambda _: None))
    back.start()
    pass_on(near, far, heard.append)
    back.join()
    near.close()
    far.close()


def proxied(fleet, user, command):
    program = user.home / "proxy.py"
    program.write_text(PROXY)
    program = f"{shlex.quote(sys.executable)} {shlex.quote(str(program))}"
    user.config(
        block("alias", fleet, "one", f"IdentityFile {fleet.client_key}", f"ProxyCommand {command.format(program)}")
    )


def children():
    """The programs that run in place of connections."""
    found = []
    for pid in below(os.getpid()):
        with suppress(OSError):  # it has ended meanwhile
            found += [pid] if "proxy.py" in Path(f"/proc/{pid}/cmdline").read_text() else []
    return found


def test_a_proxycommand_makes_the_connection_and_is_ended_with_it(fleet, user):
    proxied(fleet, user, "{} %h %p")
    transport = user.to("alias")
    assert transport.run("pwd").stdout == f"{fleet.home('one')}\n"
    assert len(children()) == 1
    transport.close()
    assert children() == []


def test_a_proxycommand_sees_what_the_inventory_says(fleet, user):
    _, port = addresses(fleet, "one")
    proxied(fleet, user, "{} %h %p")
    text = (user.ssh / "config").read_text().replace(f"Port {port}", "Port 9")
    user.config(text)
    assert reaches(user, fleet, port=port)


def test_a_proxycommand_that_dies_is_told_in_its_words(fleet, user):
    proxied(fleet, user, "echo no route to bastion >&2; exit 1; {}")
    with pytest.raises(Unreachable, match="its ProxyCommand says: no route to bastion"):
        user.to("alias", connect_timeout=0.2).run("true")
    assert children() == []


def test_a_connection_whose_proxycommand_was_killed_is_made_anew(fleet, user):
    proxied(fleet, user, "{} %h %p")
    transport = user.to("alias")
    assert transport.run("true").ok
    os.kill(children()[0], signal.SIGKILL)
    assert transport.run("echo again").stdout == "again\n"
    transport.close()
    assert children() == []
