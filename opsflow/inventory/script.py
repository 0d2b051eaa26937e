"""Executables that tell an inventory: `PROGRAM --list` prints JSON, as Ansible's do.

https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html#developing-inventory-scripts
"""

import hashlib
import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opsflow.errors import Position
from opsflow.inventory.draft import GAP, Draft, Spot
from opsflow.inventory.names import group_name_problem
from opsflow.inventory.ranges import NAME_HINT, expand
from opsflow.inventory.variables import checked, group_variables, literally

_PATIENCE = 120.0
"""Seconds for all that one inventory is asked."""
_LAST_LINES = 5
_DEEPEST = 50


class _Wrong(Exception):
    """The program did not do what it should. `hint`: what it said."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def read_script(path: Path, draft: Draft) -> None:
    """Ask a program; what is wrong with it or its answer are problems of the draft."""
    draft.foreign = True
    until = time.monotonic() + _PATIENCE
    try:
        answer = _asked(path, ["--list"], until, draft)
        reader = _Reader(path, draft)
        hosts = reader.groups(answer)
        meta = answer.get("_meta")
        variables = meta.get("hostvars") if isinstance(meta, dict) else None
        if not isinstance(variables, dict):
            variables = {host: _asked(path, ["--host", host], until, draft) for host in hosts}
        reader.variables(hosts, variables)
    except _Wrong as error:
        draft.problems.append(_spot(path).problem(str(error), error.hint))
        draft.incomplete = True


def _asked(path: Path, arguments: list[str], until: float, draft: Draft) -> dict[str, Any]:
    """What a program prints, as data."""
    command = " ".join([path.name, *arguments])
    printed = _printed(path, arguments, until, command)
    draft.took(hashlib.sha256(printed).hexdigest())
    if arguments[0] == "--host" and not printed.strip():
        return {}
    try:
        answer = json.loads(printed, parse_constant=_number, parse_float=_number, object_hook=_object)
        json.dumps(answer, ensure_ascii=False, default=str).encode()
    except RecursionError:
        raise _Wrong(f"`{command}` printed JSON that is nested too deeply") from None
    except UnicodeEncodeError:
        raise _Wrong(f"`{command}` printed half of a character, such as \\ud800") from None
    except ValueError as error:
        raise _Wrong(f"`{command}` did not print JSON: {error}", "run it to see what it prints") from None
    if not isinstance(answer, dict):
        raise _Wrong(f"`{command}` must print a JSON object")
    return answer


def _printed(path: Path, arguments: list[str], until: float, command: str) -> bytes:
    try:
        program = subprocess.Popen(
            [path.absolute(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        first = path.read_bytes().partition(b"\n")[0][:200].decode(errors="replace")
        raise _Wrong(f"it cannot be run: {error.strerror}", f"its first line is {first}") from None
    with program:
        try:
            printed, complaint = program.communicate(timeout=max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            raise _Wrong(f"`{command}` has not ended within {_PATIENCE:.0f} s") from None
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
    if program.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        raise _Wrong(f"`{command}` ended with exit status {program.returncode}", "\n    ".join(lines))
    return printed


class _Reader:
    """Fills a draft from a program's answer."""

    def __init__(self, path: Path, draft: Draft) -> None:
        self._draft = draft
        self._spot = _spot(path)

    def groups(self, answer: Mapping[str, Any]) -> list[str]:
        """Read the groups; their hosts."""
        hosts: dict[str, None] = {}
        for name, said in answer.items():
            if name == "_meta":
                continue
            if wrong := group_name_problem(name, self._spot):
                self._draft.problems.append(wrong)
                continue
            table = said if isinstance(said, dict) else {"hosts": said}
            if not table.keys() & {"hosts", "vars", "children"}:  # an old form: a host's variables under its name
                table = {"hosts": [name], "vars": table} if table else {}
            hosts |= dict.fromkeys(self._group(name, table))
        return list(hosts)

    def variables(self, hosts: list[str], variables: Mapping[str, Any]) -> None:
        """Read the variables of hosts."""
        for host in hosts:
            said = variables.get(host) or {}
            if not isinstance(said, dict):
                self._problem(f"the variables of the host `{host}` must be an object")
            elif said:
                self._draft.host(host).said.append(checked(self._draft, self._usable(said), self._at))

    def _group(self, name: str, table: Mapping[str, Any]) -> list[str]:
        group = self._draft.group(name)
        hosts = self._names(name, "hosts", table)
        for host in hosts:
            group.hosts[host] = None
            self._draft.host(host)
        for child in self._names(name, "children", table):
            self._draft.group(child)
            group.children.setdefault(child, lambda: self._spot)
        variables = table.get("vars") or {}
        if isinstance(variables, dict):
            group_variables(self._draft, group, self._usable(variables), self._at)
        else:
            self._problem(f"`vars` of the group `{name}` must be an object")
        return hosts

    def _names(self, group: str, key: str, table: Mapping[str, Any]) -> list[str]:
        names = table.get(key) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._problem(f"`{key}` of the group `{group}` must be a list of names")
            return []
        wrong = [name for name in names if not _is_name(name)]
        for name in wrong:
            self._problem(f"`{name}` cannot be a {'host' if key == 'hosts' else 'group'}'s name", NAME_HINT)
        return [name for name in names if name not in wrong]

    def _usable(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, value in variables.items():
            fault, hint = _fault(value, 0)
            found[name] = GAP if fault else value
            if fault:
                notice = f"{fault}: the variable is not there"
                self._draft.notices.add(notice, self._spot.problem(notice, hint))
        return found

    def _at(self, _: str) -> Spot:
        return self._spot

    def _problem(self, message: str, hint: str = "") -> None:
        self._draft.problems.append(self._spot.problem(message, hint))


def _number(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is not a usable number")
    return float(text)


def _object(said: dict[str, Any]) -> Any:
    """What `ansible-inventory --list` has for values of a sort of their own, as YAML's tags."""
    if "__ansible_vault" in said:
        return GAP
    unsafe = said.get("__ansible_unsafe")
    return literally(unsafe) if isinstance(unsafe, str) else said


def _fault(value: Any, depth: int) -> tuple[str, str]:
    """Why a value cannot be understood, and what to do; empty: it can."""
    if value is GAP:
        hint = "give it as a secret: {{ secret('env:NAME') }}"
        return "a value that ansible-vault has encrypted is not understood", hint
    if depth > _DEEPEST:
        return f"a value is nested more than {_DEEPEST} levels deep", ""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(any, (_fault(item, depth + 1) for item in inner)), ("", ""))


def _is_name(name: str) -> bool:
    try:
        return expand(name) == [name]
    except ValueError:
        return False


def _spot(path: Path) -> Spot:
    return Spot(Position(file=str(path), line=0, column=0))
