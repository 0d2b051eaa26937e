"""Logging in with keys: those of files and those of an agent, in ssh's order, and one clear reason if none will do."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import paramiko

from opsflow.errors import AuthenticationFailed
from opsflow.transport.key_files import Agent, Unusable, certificate_for, public_key, read_key
from opsflow.transport.route import Identities

_BROKEN = (paramiko.SSHException, OSError, EOFError)


class Login:
    """One login; paramiko calls it an `auth_strategy`.

    Args:
        identities: Who logs in with what.
        where: How messages name the server.
        passphrases: What unlocks key files, where that is said.
    """

    def __init__(self, identities: Identities, where: str, passphrases: Mapping[Path, str]) -> None:
        self._identities = identities
        self._where = where
        self._passphrases = passphrases
        self._tried: list[str] = []
        self._unusable: list[Unusable] = []

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in with the first key that is accepted.

        Raises:
            AuthenticationFailed: none is.
            EOFError: the connection was lost meanwhile.
            TimeoutError: the server does not answer.
        """
        agent = Agent(self._identities.agent)
        try:
            for label, key in self._keys(agent):
                if self._is_accepted(transport, label, key):
                    return
        finally:
            agent.close()
        raise self._failed("it accepts none of these keys")

    def _is_accepted(self, transport: paramiko.Transport, label: str, key: paramiko.PKey) -> bool:
        self._tried.append(label)
        try:
            more = transport.auth_publickey(self._identities.user, key)
        except paramiko.BadAuthenticationType as error:
            raise self._cannot(f"it takes no keys, only {', '.join(error.allowed_types)}") from error
        except _BROKEN as error:
            if transport.is_active():
                if "timeout" in str(error).lower():
                    raise TimeoutError(str(error)) from error
                return False
            if not isinstance(error, paramiko.AuthenticationException):
                raise self._cannot(f"{label}: {error}") from error
            if len(self._tried) == 1:
                raise EOFError(str(error)) from error
            raise self._failed(
                "it hung up after these keys", "name the right one: key_file in the inventory"
            ) from error
        if more:
            raise self._cannot(f"beside a key it asks for {', '.join(more)}")
        return True

    def _keys(self, agent: Agent) -> Iterator[tuple[str, paramiko.PKey]]:
        """Keys of files that were named, then the agent's, then those that are only tried; none twice."""
        said = self._identities
        held = {key.blob: key for key in agent.held()}
        public = {path: public_key(path) for path in (*said.wanted, *said.others)}
        done: set[bytes] = set()
        for path in said.wanted:
            done.add(public[path])
            yield from self._of_file(path, held.get(public[path]))
        for blob, key in held.items():
            if blob not in done and (not said.only or blob in public.values()):
                done.add(blob)
                yield f"{key.comment} (of the agent)", key
        for path in said.others:
            if public[path] not in done:
                yield from self._of_file(path, None)

    def _of_file(self, path: Path, held: paramiko.PKey | None) -> Iterator[tuple[str, paramiko.PKey]]:
        """A file's key, or the same key of the agent's; first with its certificates."""
        try:
            key = held or read_key(path, self._passphrases.get(path, ""))
        except FileNotFoundError:
            return  # as ssh does: a key that ssh_config names need not be there
        except Unusable as error:
            self._unusable.append(error)
            return
        for file in (Path(f"{path}-cert.pub"), *self._identities.certificates):
            certified = certificate_for(key, file)
            if certified is not None:
                yield f"{path} with {file}", certified
        yield str(path), key

    def _failed(self, why: str, hint: str = "") -> AuthenticationFailed:
        reasons = [f"{why}: {', '.join(self._tried)}"] if self._tried else []
        reasons += [str(error) for error in self._unusable]
        hints = [hint, *(error.hint for error in self._unusable)]
        return self._cannot("; ".join(reasons) or "there is no key to try", "; ".join(filter(None, hints)))

    def _cannot(self, why: str, hint: str = "") -> AuthenticationFailed:
        return AuthenticationFailed(f"cannot log in to {self._where}: {why}", hint=hint)
