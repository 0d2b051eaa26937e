"""Which host keys are taken: unknown ones only if so said, changed, revoked and other ones never."""

import subprocess
import sys
import threading

import pytest
from paramiko import PKey
from ssh_ground import User, addresses

from opsflow.errors import HostKeyRejected, Unreachable
from opsflow.testing import SshdFleet
from opsflow.transport.known_hosts import appending, known_keys

KINDS = ["ed25519", "ecdsa", "rsa"]


@pytest.fixture
def user(tmp_path, monkeypatch, fleet):
    user = User(tmp_path / "home", monkeypatch)
    user.told = []
    yield user
    user.close()


@pytest.fixture
def own(tmp_path, user):
    """A host of three keys, one of each kind."""
    keys = [user.home / f"host_{kind}" for kind in KINDS]
    for key, kind in zip(keys, KINDS, strict=True):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key], check=True)
    options = [f"HostKey {key}" for key in keys]
    with SshdFleet(tmp_path / "own", ["own"], first_address="127.0.144.40", options=options) as own:
        yield own
        user.close()


def to(user, own, *, accept=False, **how):
    address, port = addresses(own, "own")
    found = {"port": port, "user": own.user, "key_file": str(own.client_key), **how}
    return user.to(address, accepted=user.told.append if accept else None, **found)


def line(user, own, kind, name=None, mark=""):
    """A line of known_hosts with the host's key of a kind."""
    key = " ".join((user.home / f"host_{kind}.pub").read_text().split()[:2])
    address, port = addresses(own, "own")
    return f"{mark}{name or f'[{address}]:{port}'} {key}\n"


def fingerprint(user, kind):
    listed = ["ssh-keygen", "-lf", user.home / f"host_{kind}.pub"]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()[1]


def known(user):
    return user.ssh / "known_hosts"


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_key_that_is_known_is_asked_for(user, own, kind):
    known(user).write_text(line(user, own, kind))
    transport = to(user, own)
    assert transport.run("true").ok
    assert fingerprint(user, kind) in transport.host_key


def test_an_unknown_key_is_accepted_once_and_told(user, own):
    assert to(user, own, accept=True).run("true").ok
    (event,) = user.told
    address, port = addresses(own, "own")
    assert event.key == f"ssh-ed25519 {fingerprint(user, 'ed25519')}"
    assert (event.host, event.file) == ("host", str(known(user)))
    assert event.where == f"host ({own.user}@{address}:{port})"
    assert known(user).read_text() == line(user, own, "ed25519")
    assert known(user).stat().st_mode & 0o777 == 0o600

    assert to(user, own, accept=True).run("true").ok
    assert to(user, own).run("true").ok
    assert len(user.told) == 1
    asked = subprocess.run(["ssh-keygen", "-F", f"[{address}]:{port}", "-f", known(user)], check=False)
    assert asked.returncode == 0, "ssh itself knows it now"


def test_the_directory_is_made_for_the_first_key(user, own):
    file = user.home / "new" / "known"
    assert to(user, own, accept=True, known_hosts=str(file)).run("true").ok
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_an_accepted_name_is_hashed_where_ssh_would(user, own):
    user.config("HashKnownHosts yes\n")
    assert to(user, own, accept=True).run("true").ok
    assert known(user).read_text().startswith("|1|")
    assert to(user, own).run("true").ok


def test_what_stood_in_the_file_stays_even_without_an_end_of_line(user, own):
    known(user).write_text("# mine\nother ssh-ed25519 AAAA")
    assert to(user, own, accept=True).run("true").ok
    assert known(user).read_text() == "# mine\nother ssh-ed25519 AAAA\n" + line(user, own, "ed25519")


def test_nothing_is_accepted_that_cannot_be_remembered(user, own):
    file = user.home / "no-directory"
    file.write_text("")
    with pytest.raises(Unreachable, match="cannot be written to") as refused:
        to(user, own, accept=True, known_hosts=str(file / "known")).run("true")
    assert "known_hosts" in refused.value.hint
    assert user.told == []
    assert own.connections("own") == 0


def test_a_file_that_forgets_may_be_named(user, own):
    user.config("UserKnownHostsFile /dev/null\n")
    for _ in range(2):
        assert to(user, own, accept=True).run("true").ok
    assert len(user.told) == 2


@pytest.mark.parametrize("accept", [False, True])
def test_a_changed_key_is_refused_even_if_unknown_ones_are_accepted(user, own, accept):
    other = user.key("other").with_name("other.pub").read_text()
    before = line(user, own, "ed25519").split()[0] + " " + other
    known(user).write_text(before)
    with pytest.raises(HostKeyRejected, match="is not the one that is known") as refused:
        to(user, own, accept=accept).run("true")
    assert fingerprint(user, "ed25519") in refused.value.message
    assert user.told == []
    assert known(user).read_text() == before
    assert own.connections("own") == 0


@pytest.mark.parametrize("accept", [False, True])
def test_a_key_of_another_kind_is_no_new_key(user, own, tmp_path, accept):
    """Who has taken a host's place may have a key of a kind that is not known of it."""
    (user.home / "gone").mkdir()
    known(user).write_text(line(user, own, "ed25519"))
    options = [f"HostKey {user.home}/host_rsa", "HostKeyAlgorithms rsa-sha2-512"]
    address, port = addresses(own, "own")
    own.kill("own")
    with SshdFleet(tmp_path / "thief", ["own"], addresses={"own": (address, port)}, options=options) as thief:
        with pytest.raises(HostKeyRejected, match="is not the one that is known") as refused:
            to(user, thief, accept=accept).run("true")
        assert fingerprint(user, "rsa") in refused.value.message
        assert fingerprint(user, "ed25519") in refused.value.message
        assert thief.connections("own") == 0


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("name", [None, "*", "hashed"])
def test_a_revoked_key_is_refused(user, own, accept, name):
    known(user).write_text(line(user, own, "ed25519", None if name == "hashed" else name))
    if name == "hashed":
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", known(user)], check=True, capture_output=True)
    text = known(user).read_text()
    known(user).write_text(f"@revoked {text}")
    with pytest.raises(HostKeyRejected, match="is revoked"):
        to(user, own, accept=accept).run("true")
    assert user.told == []


def test_a_key_that_is_known_for_the_usual_port_will_do_at_another(user, own):
    address, _ = addresses(own, "own")
    known(user).write_text(line(user, own, "ed25519", name=address))
    assert to(user, own).run("true").ok
    known(user).write_text(line(user, own, "ed25519", name=address, mark="@revoked "))
    with pytest.raises(HostKeyRejected):
        to(user, own).run("true")


def test_many_hosts_are_accepted_at_the_same_moment(user, tmp_path):
    names = [f"h{n}" for n in range(8)]
    with SshdFleet(tmp_path / "many", names, first_address="127.0.144.60") as many:
        transports = []
        for name in names * 2:
            address, port = addresses(many, name)
            how = {"port": port, "user": many.user, "key_file": str(many.client_key)}
            transports.append(user.to(address, accepted=user.told.append, **how))
        threads = [threading.Thread(target=transport.run, args=("true",)) for transport in transports]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(known(user).read_text().splitlines()) == sorted(many.known_hosts.read_text().splitlines())
        assert len(user.told) == len(names)
        user.close()


def test_processes_that_append_to_a_file_lose_no_line(tmp_path, user):
    """Long lines, so that a write in two parts would be seen."""
    key = user.key("key", kind="rsa", bits=4096).with_name("key.pub")
    program = (
        "import sys; from pathlib import Path; import paramiko; from opsflow.transport.known_hosts import appending\n"
        "words = Path(sys.argv[1]).read_text().split(); import base64\n"
        "key = paramiko.RSAKey(data=base64.b64decode(words[1]))\n"
        "for n in range(50):\n"
        "    with appending(Path(sys.argv[2])) as append: append(f'host-{sys.argv[3]}-{n}', key, False)\n"
    )
    file = tmp_path / "known"
    command = [sys.executable, "-c", program, str(key), str(file)]
    writers = [subprocess.Popen([*command, str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    lines = file.read_text().splitlines()
    wanted = " ".join(key.read_text().split()[:2])
    assert sorted(lines) == sorted(f"host-{n}-{m} {wanted}" for n in range(4) for m in range(50))


def test_a_pinned_key_is_insisted_on_whatever_known_hosts_says(user, own):
    known(user).write_text("".join(line(user, own, kind) for kind in KINDS))
    pinned = f"ssh-rsa {fingerprint(user, 'rsa')}"
    transport = to(user, own, pinned=pinned)
    assert transport.run("true").ok
    assert transport.host_key == pinned

    for kind in KINDS:
        (user.home / f"host_{kind}").unlink()
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", user.home / f"host_{kind}"], check=True)
    own.restart("own")
    known(user).write_text("".join(line(user, own, kind) for kind in KINDS))
    for accept in (False, True):
        with pytest.raises(HostKeyRejected, match="is not the one that this run has seen") as refused:
            to(user, own, pinned=pinned, accept=accept).run("true")
        assert pinned in refused.value.message
        assert fingerprint(user, "rsa") in refused.value.message
    with pytest.raises(HostKeyRejected, match="is not the one that this run has seen"):
        transport.run("true")  # what was connected once pins itself
    assert to(user, own).run("true").ok


def test_a_pinned_key_must_be_known_as_well(user, own):
    pinned = f"ssh-ed25519 {fingerprint(user, 'ed25519')}"
    with pytest.raises(HostKeyRejected, match="is not known"):
        to(user, own, pinned=pinned).run("true")
    assert to(user, own, pinned=pinned, accept=True).run("true").ok


def test_a_key_that_is_accepted_by_another_meanwhile_is_not_written_twice(user, own):
    """The file is looked into again once nobody else can write to it."""
    with appending(known(user)) as append:
        transport = to(user, own, accept=True)
        thread = threading.Thread(target=transport.run, args=("true",))
        thread.start()
        while "Connection from" not in own.log("own") and thread.is_alive():
            thread.join(0.01)
        thread.join(0.5)
        key = PKey.from_path(user.home / "host_ed25519")
        append(line(user, own, "ed25519").split()[0], key, False)
    thread.join(20)
    assert known(user).read_text() == line(user, own, "ed25519")
    assert user.told == []
    assert known_keys(line(user, own, "ed25519").split()[0], [known(user)]).trusted == (key,)


def test_a_line_that_names_an_authority_is_told_to_be_of_no_use(user, own):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", user.home / "authority"], check=True)
    options = ["ssh-keygen", "-q", "-s", user.home / "authority", "-h", "-I", "own", user.home / "host_ed25519.pub"]
    subprocess.run(options, check=True, capture_output=True)
    key = (user.home / "authority.pub").read_text()
    known(user).write_text(f"# mine\n@cert-authority * {key}")
    with pytest.raises(HostKeyRejected) as refused:
        to(user, own).run("true")
    assert f"are not checked, so that @cert-authority in {known(user)}:2 is of no use here" in refused.value.message
    assert fingerprint(user, "ed25519") in refused.value.message
    assert f">> {known(user)}" in refused.value.hint
    known(user).write_text(known(user).read_text() + line(user, own, "ed25519"))
    assert to(user, own).run("true").ok
