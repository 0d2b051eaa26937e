"""Logging in with real keys and a real agent, and why one is not let in."""

import subprocess

import pytest
from ssh_ground import User, addresses, agent, left_since, taken

from opsflow.errors import AuthenticationFailed
from opsflow.testing import SshdFleet


@pytest.fixture
def user(tmp_path, monkeypatch, fleet):
    user = User(tmp_path / "home", monkeypatch)
    yield user
    user.close()


@pytest.fixture
def own(tmp_path, user):
    """A host that takes whatever key stands in `authorized`."""
    (user.home / "authorized").touch()
    options = [f"AuthorizedKeysFile {user.home}/authorized"]
    with SshdFleet(tmp_path / "own", ["own"], first_address="127.0.144.30", options=options) as own:
        user.knows(own)
        yield own
        user.close()


def authorize(user, *keys):
    (user.home / "authorized").write_text("".join(key.with_name(f"{key.name}.pub").read_text() for key in keys))


def to(user, own, **how):
    address, port = addresses(own, "own")
    return user.to(address, **{"port": port, "user": own.user, **how})


@pytest.mark.parametrize(("kind", "bits"), [("ed25519", None), ("ecdsa", 256), ("ecdsa", 521), ("rsa", 3072)])
@pytest.mark.parametrize("held", [False, True], ids=["file", "agent"])
def test_every_kind_of_key_lets_in(user, own, monkeypatch, kind, bits, held):
    key = user.key("key", kind=kind, bits=bits)
    authorize(user, key)
    if held:
        with agent(key, monkeypatch=monkeypatch):
            key.rename(f"{key}.gone")
            assert to(user, own).run("true").ok
    else:
        assert to(user, own, key_file=str(key)).run("true").ok


def test_a_key_in_the_older_format_lets_in(user, own):
    key = user.key("key", kind="rsa", bits=3072)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "", "-m", "PEM", "-f", key], check=True, capture_output=True)
    assert "BEGIN RSA" in key.read_text()
    authorize(user, key)
    assert to(user, own, key_file=str(key)).run("true").ok


def test_the_default_keys_are_tried(user, own):
    user.key("id_ed25519")
    authorize(user, user.key("id_rsa", kind="rsa"))
    assert to(user, own).run("true").ok


@pytest.mark.parametrize("held", ["key.pub", "nothing beside it"])
def test_a_locked_key_lets_in_if_the_agent_has_it(user, own, monkeypatch, held):
    key = user.key("key")
    authorize(user, key)
    others = [user.key(f"other{n}") for n in range(7)]
    with agent(*others, key, monkeypatch=monkeypatch):
        lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "pass phrase", "-f", key]
        subprocess.run(lock, check=True, capture_output=True)
        if held != "key.pub":
            key.with_name("key.pub").unlink()
        assert to(user, own, key_file=str(key)).run("true").ok


@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
def test_a_locked_key_says_how_to_unlock_it(user, own, form):
    key = user.key("key", kind="rsa")
    authorize(user, key)
    lock = ["ssh-keygen", "-q", "-p", "-N", "pass phrase", "-m", form, "-f", key]
    subprocess.run(lock, check=True, capture_output=True)
    with pytest.raises(AuthenticationFailed, match=rf"the key {key} is locked by a passphrase") as refused:
        to(user, own, key_file=str(key)).run("true")
    assert refused.value.hint.startswith(f"unlock it: ssh-add {key}; or ")
    assert "key_passphrase" in refused.value.hint
    assert own.connections("own") == 0


@pytest.mark.parametrize(
    ("kind", "form"), [("ed25519", "RFC4716"), ("ecdsa", "RFC4716"), ("rsa", "RFC4716"), ("rsa", "PEM")]
)
def test_a_locked_key_lets_in_with_its_passphrase(user, own, kind, form):
    key = user.key("key", kind=kind)
    authorize(user, key)
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "pâss phrase", "-m", form, "-f", key]
    subprocess.run(lock, check=True, capture_output=True)
    assert to(user, own, key_file=str(key), passphrase="pâss phrase").run("true").ok
    with pytest.raises(AuthenticationFailed, match=rf"the key {key} is not unlocked by the passphrase") as refused:
        to(user, own, key_file=str(key), passphrase="another").run("true")
    assert "another" not in refused.value.message + refused.value.hint
    assert f"ssh-keygen -y -f {key}" in refused.value.hint


def test_a_passphrase_is_for_keys_that_are_named_and_locked(user, own):
    key = user.key("key")
    authorize(user, key)
    assert to(user, own, key_file=str(key), passphrase="nothing is locked").run("true").ok


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_may_read_is_not_used(user, own, mode):
    key = user.key("key")
    authorize(user, key)
    key.chmod(mode)
    with pytest.raises(AuthenticationFailed, match=rf"the key {key} is open to others \({mode:04o}\)") as refused:
        to(user, own, key_file=str(key)).run("true")
    assert refused.value.hint == f"chmod 600 {key}"
    key.chmod(0o400)
    assert to(user, own, key_file=str(key)).run("true").ok


def test_a_file_that_is_no_key_is_told(user, own):
    junk = user.ssh / "junk"
    junk.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    junk.chmod(0o600)
    with pytest.raises(AuthenticationFailed, match=f"{junk} holds no private key"):
        to(user, own, key_file=str(junk)).run("true")


def test_keys_that_are_not_accepted_are_named(user, own, monkeypatch):
    key, held = user.key("id_ed25519"), user.key("held")
    with agent(held, monkeypatch=monkeypatch), pytest.raises(AuthenticationFailed) as refused:
        to(user, own).run("true")
    assert f"it accepts none of these keys: held (of the agent), {key}" in refused.value.message


def test_a_key_that_was_named_is_the_only_one_that_is_tried(user, own, monkeypatch):
    key, held = user.key("key"), user.key("held")
    authorize(user, held)
    with agent(held, monkeypatch=monkeypatch), pytest.raises(AuthenticationFailed, match=f"keys: {key}$"):
        to(user, own, key_file=str(key)).run("true")


def test_an_agent_that_is_gone_is_no_agent(user, own, monkeypatch):
    key = user.key("id_ed25519")
    authorize(user, key)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(user.home / "nobody"))
    assert to(user, own).run("true").ok


def test_a_server_that_takes_no_keys_is_told(user, tmp_path):
    options = ["PubkeyAuthentication no", "PasswordAuthentication yes"]
    with SshdFleet(tmp_path / "closed", ["own"], first_address="127.0.144.31", options=options) as closed:
        user.knows(closed)
        user.key("id_ed25519")
        with pytest.raises(AuthenticationFailed, match="it takes no keys, only password"):
            to(user, closed).run("true")


def test_a_server_that_wants_more_than_a_key_is_told(user, tmp_path):
    key = user.key("id_ed25519")
    options = [
        f"AuthorizedKeysFile {key}.pub",
        "PasswordAuthentication yes",
        "AuthenticationMethods publickey,password",
    ]
    with SshdFleet(tmp_path / "strict", ["own"], first_address="127.0.144.32", options=options) as strict:
        user.knows(strict)
        with pytest.raises(AuthenticationFailed, match="beside a key it asks for password"):
            to(user, strict).run("true")


def test_nothing_stays_open_after_a_login_or_a_refusal(user, own, monkeypatch):
    key = user.key("key")
    with agent(key, monkeypatch=monkeypatch):
        before = taken()
        with pytest.raises(AuthenticationFailed):
            to(user, own).run("true")
        assert left_since(before) == set()
        authorize(user, key)
        assert to(user, own).run("true").ok
        user.close()
        assert left_since(before) == set()
