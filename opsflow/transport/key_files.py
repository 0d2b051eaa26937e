"""Private keys in files, their certificates, and keys that an agent holds."""

import base64
import binascii
import copy
import socket
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from paramiko.agent import AgentKey, AgentSSH
from paramiko.pkey import PublicBlob, UnknownKeyType

_MAGIC = b"openssh-key-v1\0"
_AGENT_TIMEOUT = 30.0
_CERTIFIED = "-cert-v01@openssh.com"


class Unusable(Exception):
    """A file is there, but no key can be had from it. `hint`: what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Agent(AgentSSH):
    """The keys of an ssh-agent; none if nobody answers.

    Args:
        path: Its socket; empty: there is none.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        if not path:
            return
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(_AGENT_TIMEOUT)
        try:
            link.connect(path)
            self._connect(link)  # type: ignore[attr-defined] # what paramiko's own Agent does
        except (OSError, paramiko.SSHException):
            link.close()
            self._conn = None

    def held(self) -> list[AgentKey]:
        """Its keys. What is certified is offered with its certificate, which paramiko leaves out for some types."""
        found = list(self.get_keys())
        for key in found:
            if key.name.endswith(_CERTIFIED):
                key.public_blob = PublicBlob(type_=key.name, blob=key.blob)  # type: ignore[assignment] # a stub's mistake
        return found

    def close(self) -> None:
        """Let the agent go."""
        self._close()  # type: ignore[attr-defined] # the same


def read_key(path: Path, passphrase: str = "") -> paramiko.PKey:
    """The private key in a file; what is locked is unlocked by the passphrase.

    Raises:
        FileNotFoundError: there is no such file.
        Unusable: it cannot be used as it is.
    """
    try:
        found = path.stat()
        text = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unusable(
            f"the key {path} cannot be read: {(error.strerror or '').lower()}", f"chmod 600 {path}"
        ) from error
    if stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(found.st_mode)
        raise Unusable(f"the key {path} is open to others ({mode:04o})", f"chmod 600 {path}")
    if not _is_locked(text):
        return _parsed(path, text, "")
    if not passphrase:
        raise Unusable(
            f"the key {path} is locked by a passphrase",
            f"unlock it: ssh-add {path}; or name the passphrase's secret in the inventory: key_passphrase",
        )
    return _parsed(path, text, passphrase)


def public_key(path: Path) -> bytes:
    """The public half of a key file as it goes over the wire; empty if it cannot be told without the passphrase."""
    with suppress(OSError, ValueError, binascii.Error, IndexError):
        blob = _openssh(path.read_bytes())
        if blob is not None:
            return blob[1]
        return base64.b64decode(Path(f"{path}.pub").read_text().split()[1])
    return b""


def certificate_for(key: paramiko.PKey, file: Path) -> paramiko.PKey | None:
    """The key with the certificate in a file, if that certifies this key."""
    try:
        line = file.read_bytes()
        certificate = serialization.load_ssh_public_identity(line)
    except (OSError, ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(certificate, serialization.SSHCertificate):
        return None
    public = certificate.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    if base64.b64decode(public.split()[1]) != key.asbytes():
        return None
    certified = copy.copy(key)
    certified.public_blob = PublicBlob.from_string(line.decode())
    return certified


def _openssh(text: bytes) -> tuple[bytes, bytes] | None:
    """Cipher and public key of a key in OpenSSH's format (PROTOCOL.key), both of which stand there in the clear."""
    lines = text.split()
    if b"OPENSSH" not in lines[1:2]:
        return None
    body = base64.b64decode(b"".join(lines[4:-4]))
    if not body.startswith(_MAGIC):
        return None
    message = paramiko.Message(body.removeprefix(_MAGIC))
    cipher, _, _, _ = message.get_binary(), message.get_binary(), message.get_binary(), message.get_int()
    return cipher, message.get_binary()


def _is_locked(text: bytes) -> bool:
    with suppress(ValueError, binascii.Error):
        found = _openssh(text)
        if found is not None:
            return found[0] != b"none"
    return b"ENCRYPTED" in text[:200]


@lru_cache(16)
def _parsed(path: Path, text: bytes, passphrase: str) -> paramiko.PKey:
    """Kept, since a large or locked key takes a tenth of a second, and thousands of hosts may have the same."""
    del text  # tells one version of the file from another
    secret: Any = passphrase.encode() or None  # paramiko says that it is text, and hands it to who takes bytes only
    try:
        key: paramiko.PKey = paramiko.PKey.from_path(path, password=secret)
    except (paramiko.SSHException, UnknownKeyType, UnsupportedAlgorithm, ValueError, TypeError) as error:
        if passphrase:
            raise Unusable(
                f"the key {path} is not unlocked by the passphrase that the inventory names",
                f"put the right one where key_passphrase says; it is right if this takes it: ssh-keygen -y -f {path}",
            ) from error
        raise Unusable(f"{path} holds no private key that can be used", "name another one: key_file") from error
    key.public_blob = None  # certificates are another candidate each
    return key
