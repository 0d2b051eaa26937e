"""Why a connection was not made: what fabric and paramiko raise, in the operator's words."""

import errno
import socket
from collections.abc import Callable
from enum import Enum
from typing import Any

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from opsflow.errors import AuthenticationFailed, Unreachable
from opsflow.transport.route import Hop

FOREIGN = (paramiko.SSHException, OSError, EOFError, ValueError)
"""Everything that fabric and paramiko raise while they connect."""

_REFUSED = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, socket.EAI_AGAIN})
_BUSY = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})


class Again(Enum):
    """Whether it makes sense to try again."""

    NEVER = "never"
    FEW = "a few times"
    LONG = "as long as may be"


def again(error: Unreachable) -> Again:
    """What a connection that was not made says about the next try."""
    cause = error.__cause__
    code = cause.errno if isinstance(cause, OSError) else None
    if isinstance(error, AuthenticationFailed):
        return Again.NEVER
    # The second: a machine on the way says that the next one refuses.
    if isinstance(cause, NoValidConnectionsError | paramiko.ChannelException) or code in _REFUSED:
        return Again.FEW
    # The last: it hung up in the middle of the greeting.
    if isinstance(cause, EOFError) or code in _BUSY or type(cause) is paramiko.SSHException:
        return Again.LONG
    return Again.NEVER


def meaning(error: BaseException, hop: Hop, where: str, said: str = "") -> Unreachable:
    """What a foreign error means.

    Args:
        error: One of `FOREIGN`.
        hop: What was to be reached.
        where: How messages name it.
        said: What its ProxyCommand has said.
    """
    make = next((make for kind, make in _MEANINGS if isinstance(error, kind)), _other)
    found = make(error, hop, where)
    if said:
        found = type(found)(f"{found.message} (its ProxyCommand says: {said})", hint=found.hint)
    if hop.unheeded and not found.hint:
        found.hint = f"ssh_config has {', '.join(hop.unheeded)} for it, which ssh heeds and opsflow does not"
    return found


def _other(error: Any, _: Hop, where: str) -> Unreachable:
    return Unreachable(f"cannot reach {where}: {error or type(error).__name__}")


def _not_let_in(error: Any, _: Hop, where: str) -> Unreachable:
    return AuthenticationFailed(f"cannot log in to {where}: {error}")


def _no_name(error: Any, _: Hop, where: str) -> Unreachable:
    return Unreachable(f"cannot reach {where}: its name cannot be resolved ({error.args[-1]})")


def _nobody_there(error: Any, _: Hop, where: str) -> Unreachable:
    reasons = {(e.strerror or str(e)).lower() for e in error.errors.values()}
    return Unreachable(f"cannot reach {where}: {', '.join(sorted(reasons))}")


def _too_slow(_: Any, hop: Hop, where: str) -> Unreachable:
    return Unreachable(f"cannot reach {where}: no answer within {hop.timeout:g} s")


def _system(error: Any, _: Hop, where: str) -> Unreachable:
    if error.filename is not None:
        return AuthenticationFailed(f"cannot log in to {where}: {error.filename}: {error.strerror}")
    return Unreachable(f"cannot reach {where}: {(error.strerror or str(error)).lower()}")


def _no_passage(error: Any, _: Hop, where: str) -> Unreachable:
    return Unreachable(f"cannot reach {where}: the machine before it does not get through ({error.text.lower()})")


def _hung_up(_: Any, __: Hop, where: str) -> Unreachable:
    return Unreachable(f"cannot reach {where}: it closed the connection at once")


_MEANINGS: tuple[tuple[type[BaseException], Callable[[Any, Hop, str], Unreachable]], ...] = (
    # Narrower classes first.
    (paramiko.AuthenticationException, _not_let_in),
    (paramiko.ChannelException, _no_passage),
    (NoValidConnectionsError, _nobody_there),
    (socket.gaierror, _no_name),
    (TimeoutError, _too_slow),
    (OSError, _system),
    (EOFError, _hung_up),
)
