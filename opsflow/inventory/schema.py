"""What an inventory file may say. Only the reader knows these classes; inside, hosts are `opsflow.model`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from opsflow.model import split_address
from opsflow.tomlfile import Border
from opsflow.units import Duration

Text = Annotated[str, Field(min_length=1)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _hop(value: str) -> str:
    split_address(value)
    return value


class ConnectionKeys(Border):
    """How a host is reached; in `[ssh]`: every host that does not say otherwise."""

    transport: Literal["ssh", "local", "fake"] = "ssh"
    address: Text = ""
    port: int | None = Field(None, ge=1, le=65535)
    user: Text | None = None
    key_file: Text | None = None
    jump: Annotated[list[Annotated[Text, AfterValidator(_hop)]], BeforeValidator(_as_list)] = Field(
        default_factory=list
    )
    known_hosts: Text | None = None
    connect_timeout: Annotated[Duration, Field(gt=0)] | None = None
    keepalive: Annotated[Duration, Field(ge=0)] | None = None
    reconnect: Annotated[Duration, Field(ge=0)] = 60.0
    become_password: Any = ""  # checked elsewhere: messages about it must not show it
    key_passphrase: Any = ""  # the same


class HostTable(ConnectionKeys):
    """`[hosts.NAME]`: one host's connection and variables."""

    vars: dict[str, Any] = Field(default_factory=dict)


class GroupTable(Border):
    """`[groups.NAME]`: hosts (ranges allowed), groups within it, variables of all of them."""

    hosts: list[Text] = Field(default_factory=list)
    children: list[Text] = Field(default_factory=list)
    vars: dict[str, Any] = Field(default_factory=dict)


class InventoryFile(Border):
    """A whole inventory."""

    vars: dict[str, Any] = Field(default_factory=dict)
    ssh: ConnectionKeys = ConnectionKeys()
    groups: dict[str, GroupTable] = Field(default_factory=dict)
    hosts: dict[str, HostTable] = Field(default_factory=dict)
