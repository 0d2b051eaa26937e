"""The JSON Schema of inventories in the native form."""

from collections.abc import Mapping
from typing import Any

from opsflow.inventory.schema import InventoryFile
from opsflow.tomlfile.jsonschema import file_schema

_CONNECTION = {
    "transport": "`ssh`; `local`: this machine, without ssh; `fake`: none, for tests.",
    "address": "Where it is reached; else its name.",
    "port": "Of its ssh server.",
    "user": "Who logs in.",
    "key_file": "The private key.",
    "jump": "Hosts on the way, one after the other: USER@HOST:PORT.",
    "known_hosts": "The file of keys of hosts.",
    "connect_timeout": 'For connecting, such as "10s".',
    "keepalive": "How often the connection is tried when nothing is said; 0: never.",
    "reconnect": "For how long a lost connection is made again during a run.",
    "become_password": "A reference to the password of sudo, {{ secret('env:NAME') }}.",
    "key_passphrase": "A reference to the passphrase of the key.",
}
_TOLD: Mapping[str, Mapping[str, str]] = {
    "InventoryFile": {
        "vars": "Variables of every host.",
        "ssh": "How every host is reached that does not say otherwise.",
        "groups": "Sets of hosts, by name.",
        "hosts": "What is to be said of single hosts, by name.",
    },
    "ConnectionKeys": _CONNECTION,
    "HostTable": _CONNECTION | {"vars": "Variables of this host."},
    "GroupTable": {
        "hosts": "Names; [01:20] in one stands for a range.",
        "children": "Groups that belong to it.",
        "vars": "Variables of its hosts.",
    },
}


def inventory_schema() -> dict[str, Any]:
    """What an editor has to know of an inventory."""
    found = file_schema(InventoryFile, "opsflow inventory", _TOLD)
    for table in ("ConnectionKeys", "HostTable"):
        keys = found["$defs"][table]["properties"]
        keys["jump"] = {"anyOf": [{"type": "string"}, keys["jump"]], "description": keys["jump"].pop("description")}
        for secret in ("become_password", "key_passphrase"):
            keys[secret] |= {"type": "string", "pattern": r"\{\{"}
    return found
