"""Whether a host is the one that it is taken for: the key that its server shows, against what is known of it."""

from collections.abc import Callable, Sequence

import paramiko

from opsflow.errors import HostKeyRejected, Unreachable
from opsflow.events import HostKeyAccepted
from opsflow.transport.known_hosts import KnownKeys, appending, known_keys, known_name
from opsflow.transport.route import Hop

_RSA = ("rsa-sha2-512", "rsa-sha2-256")


Accepted = Callable[[HostKeyAccepted], None]
"""Is told of every unknown key that was accepted."""


def key_text(key: paramiko.PKey) -> str:
    """A key as people compare it: type and fingerprint."""
    return f"{key.get_name()} {key.fingerprint}"


class Doorkeeper(paramiko.MissingHostKeyPolicy):
    """Looks at the key that one server shows. paramiko always asks it, as it is told of no keys itself.

    Args:
        hop: The server.
        host: Name of the host to which the way leads.
        where: How messages name the server.
        pinned: The key that the host has shown before in this run, as `key_text` writes it; empty: none.
        accepted: Unknown keys are accepted and told to this; None: they are refused.
    """

    def __init__(self, hop: Hop, *, host: str, where: str, pinned: str, accepted: Accepted | None) -> None:
        self.shown = ""
        self._hop = hop
        self._host = host
        self._where = where
        self._pinned = pinned
        self._accepted = accepted

    def preferred(self, types: Sequence[str]) -> list[str]:
        """Key types, the pinned key's first, or those of which a key is known, so that the server shows that one."""
        pinned = self._pinned.partition(" ")[0]
        known = {pinned} if pinned else {key.get_name() for key in self._known().trusted}
        wanted = known | set(_RSA if "ssh-rsa" in known else ())
        return sorted(types, key=lambda kind: kind not in wanted)

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        """Let the key pass or raise `HostKeyRejected`."""
        self.shown = key_text(key)
        found = self._known()
        if key in found.revoked:
            raise HostKeyRejected(
                f"the host key of {self._where} is revoked: {self.shown}",
                hint="somebody who has that key may be in between; do not go on before the machine has another one",
            )
        if self._pinned and self.shown != self._pinned:
            raise self._other_than_before()
        if self._is_trusted(key, found):
            return
        if self._accepted is None:
            raise self._unknown(found)
        self._accept(key, self._accepted)

    def _known(self) -> KnownKeys:
        return known_keys(self._hop.known_as, self._hop.known_files)

    def _is_trusted(self, key: paramiko.PKey, found: KnownKeys) -> bool:
        """Whether it is a known one; of a host with known keys any other is refused, of whatever type it is."""
        if key in found.trusted:
            return True
        if found.trusted:
            raise self._changed(found)
        hop = self._hop
        # As ssh does: a key that is known for the host at its usual port will do at any.
        elsewhere = hop.port != 22 and hop.known_as == known_name(hop.address, hop.port)
        usual = known_keys(hop.address, hop.known_files) if elsewhere else found
        return key in usual.trusted and key not in usual.revoked

    def _accept(self, key: paramiko.PKey, accepted: Accepted) -> None:
        hop = self._hop
        file = hop.known_files[0]
        try:
            with appending(file) as append:
                if self._is_trusted(key, self._known()):  # somebody else has accepted it meanwhile
                    return
                append(hop.known_as, key, hop.hashes)
        except OSError as error:
            raise Unreachable(
                f"the host key of {self._where} cannot be written to {file}: {error.strerror}",
                hint="make the file writable, or name another one: known_hosts in the inventory's [ssh]",
            ) from error
        accepted(HostKeyAccepted(run_id="", host=self._host, where=self._where, key=self.shown, file=str(file)))

    def _unknown(self, found: KnownKeys) -> HostKeyRejected:
        hop = self._hop
        port = "" if hop.port == 22 else f"-p {hop.port} "
        lines = ", ".join(found.authorities)
        authority = f"; certificates of host keys are not checked, so that @cert-authority in {lines} is of no use here"
        return HostKeyRejected(
            f"the host key of {self._where} is not known: {self.shown}{authority if lines else ''}",
            hint=(
                "compare the fingerprint with one from a trusted source, then: "
                f"ssh-keyscan {port}{hop.address} >> {hop.known_files[0]}"
            ),
        )

    def _changed(self, found: KnownKeys) -> HostKeyRejected:
        known = ", ".join(dict.fromkeys(map(key_text, found.trusted)))
        hop = self._hop
        return HostKeyRejected(
            f"the host key of {self._where} is not the one that is known: it shows {self.shown}, known is {known}",
            hint=(
                "somebody may be in between. Only if the machine was really given a new key: "
                f"ssh-keygen -R '{hop.known_as}' -f {hop.known_files[0]}"
            ),
        )

    def _other_than_before(self) -> HostKeyRejected:
        return HostKeyRejected(
            f"the host key of {self._where} is not the one that this run has seen: it shows {self.shown}, "
            f"before it was {self._pinned}",
            hint=(
                "whatever known_hosts says by now, the run goes on only with the machine that it began with: give the "
                "machine its key back and resume, or give the run up: opsflow apply --abandon RUN"
            ),
        )
