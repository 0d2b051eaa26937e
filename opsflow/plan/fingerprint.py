"""What of a plan decides what its run does, and the hash of that.

Where something was written, in which order where that does not matter, and when it was compiled is left out; paths
within the project begin there. So the same files give the same fingerprint in whatever directory they are.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from opsflow.model import LOCALHOST
from opsflow.plan.model import Plan

_ONLY_TOLD = frozenset({"id", "source", "positions", "notes"})
"""Keys of a step that are for people, or told elsewhere."""

_PATHS = ("key_file", "known_hosts")
"""Keys of a connection that hold a path."""


def decisive(plan: Plan, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What decides what the run does, JSON-able; the graph follows from it.

    Args:
        plan: The plan; what is retired in it does not count.
        data: Its JSON form, if it is at hand.
    """
    if data is None or plan.retired:
        data = plan.live.to_json()
    playbook, directory = data["playbook"], data["playbook"]["directory"]
    steps = {step["id"]: _without(step, _ONLY_TOLD) for step in playbook["steps"]}
    found = {
        "name": playbook["name"],
        "flow": playbook["flow"],
        "order": list(steps) if "linear" in {playbook["flow"], *(part["flow"] for part in playbook["parts"])} else [],
        "parts": {part["id"]: _without(part, _ONLY_TOLD) for part in playbook["parts"]},
        "vars": playbook["vars"],
        "inputs": data["inputs"],
        "extra": data["extra"],
        "steps": steps,
        "hosts": {name: _host(host, directory) for name, host in data["hosts"].items()},
        "tasks": data["tasks"],
        "files": {within(directory, path): digest for path, digest in data["files"].items() if not _made(plan, path)},
        "groups": data["groups"],
        "nodes": sorted(node["id"] for node in data["nodes"]),
        "placed": {
            node["id"]: {"item": node["item"], "on": node["on"]}
            for node in data["nodes"]
            if node["key"] is not None or node["on"]
        },
    }
    if playbook["rollout"]:
        found["rollout"] = {
            **_without(playbook["rollout"], frozenset({"positions"})),
            "units": (data["batches"] or {}).get("units", []),
        }
    return found


def fingerprint(decides: Mapping[str, Any]) -> str:
    """SHA-256 of what `decisive` gave, in hexadecimal."""
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(plan: Plan) -> Plan:
    """The plan with its fingerprint. What runs is what is stored, not what it was stored from."""
    data = plan.to_json()
    return Plan.from_json(data | {"fingerprint": fingerprint(decisive(plan, data))})


def moved(plan: Plan, directory: str) -> Plan:
    """The plan of a project that is in another directory now."""
    old = plan.playbook.directory

    def there(path: str) -> str:
        inside = within(old, path)
        return path if inside == path else f"{directory.rstrip('/')}/{inside}"

    data = plan.to_json()
    playbook = data["playbook"] | {"directory": directory, "path": there(plan.playbook.path)}
    for host in data["hosts"].values():
        host["connection"] |= {key: there(host["connection"][key]) for key in _PATHS if host["connection"][key]}
    files = {there(path): digest for path, digest in data["files"].items()}
    local = {step: [there(path) for path in paths] for step, paths in data["local_files"].items()}
    return Plan.from_json(data | {"playbook": playbook, "files": files, "local_files": local})


def within(directory: str, path: str) -> str:
    """A path, relative to the directory if it is within."""
    return path.removeprefix(f"{directory.rstrip('/')}/")


def _host(host: Mapping[str, Any], directory: str) -> dict[str, Any]:
    connection = host["connection"]
    paths = {key: within(directory, connection[key]) for key in _PATHS if connection[key]}
    return {"vars": host["vars"], "connection": {**connection, **paths}}


def _made(plan: Plan, path: str) -> bool:
    """Whether the run itself may make a local file: all nodes that name it are on the control machine, or after one."""
    named = [node for step, paths in plan.local_files.items() if path in paths for node in plan.by_step[step]]
    return bool(named) and all(node.at == LOCALHOST or node.id in plan.after_local for node in named)


def _without(data: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}
