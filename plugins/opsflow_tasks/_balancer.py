"""Servers behind a balancer: taken out before they are stopped, and in again once they are healthy."""

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from opsflow_tasks._target import Value

READY = "ready"
_LEAVE = "-"

Socket = Annotated[str, Field(pattern=r"^(/\S+|[A-Za-z0-9._:%\[\]-]+:[0-9]+)$")]
Server = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+/[A-Za-z0-9_.:-]+$")]


class Haproxy(BaseModel):
    """The server in HAProxy's words, and where the target talks to HAProxy."""

    model_config = ConfigDict(extra="forbid")

    socket: Socket | Annotated[list[Socket], Field(min_length=1)] = Field(
        description="HAProxy's `stats socket` with `level admin`, as the target reaches it: a socket file, or"
        " HOST:PORT; or several, of several balancers. The target needs perl, python3, socat or nc; for HOST:PORT"
        " bash will do."
    )
    servers: list[Server] = Field(min_length=1, description="What it is there: `BACKEND/SERVER`, once or more.")

    @property
    def values(self) -> dict[str, Value]:
        """Values for the script `balancer`."""
        sockets = [self.socket] if isinstance(self.socket, str) else self.socket
        return {"sockets": " ".join(sockets), "servers": " ".join(self.servers)}


def taken_out(states: Sequence[str]) -> str:
    """How to take out those that are in: a word for each server at each balancer; empty if all stay as they are."""
    return _words("drain" if state == READY else _LEAVE for state in states)


def taken_in(states: Sequence[str], *, ready: bool) -> str:
    """How to take in those that were in before (`ready`), or those that were not."""
    return _words(READY if (state == READY) == ready else _LEAVE for state in states)


def as_before(states: Sequence[str]) -> str:
    """How to take out those again that were out before."""
    return _words(_LEAVE if state == READY else state for state in states)


def _words(each: Iterable[str]) -> str:
    words = list(each)
    return "" if set(words) <= {_LEAVE} else " ".join(words)
