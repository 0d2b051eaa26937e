"""Which form a file has: opsflow's own, one of Ansible's, a program; or a directory of these."""

import os
import re
from pathlib import Path

from opsflow.errors import Position, Problem
from opsflow.inventory.draft import Draft, Spot
from opsflow.inventory.ini import read_ini
from opsflow.inventory.native import read_native
from opsflow.inventory.script import read_script
from opsflow.inventory.text import Text, read_text

_NATIVE = ".toml"
_YAML = frozenset({".yml", ".yaml", ".json"})
_PROGRAM = (b"#!", b"\x7fELF")
"""How a file begins that can be run."""
_NO_SOURCE = re.compile(
    r"\..*|.*~|(host_vars|group_vars|vars_plugins)|.*\.(pyc|pyo|swp|bak|rpm|md|txt|rst|orig|cfg|retry)", re.DOTALL
)
"""Names that are passed over in a directory, as in Ansible."""
_LIKE_YAML = re.compile(r"---(\s|$)|%YAML|\{|[^\s#\[=]+:\s*(#.*)?$")


def is_source(path: Path) -> bool:
    """Whether something in a directory of inventories is one."""
    return not _NO_SOURCE.fullmatch(path.name) and (path.is_file() or path.is_dir())


def read_source(path: Path, draft: Draft) -> None:
    """Read a file, ask a program, or do so with all in a directory, by name; what is wrong are its problems."""
    if path.is_dir():
        _read_directory(path, draft, frozenset())
    else:
        _read_file(path, draft)


def _read_directory(directory: Path, draft: Draft, around: frozenset[str]) -> None:
    here = os.path.realpath(directory)
    try:
        names = sorted(path for path in directory.iterdir() if is_source(path))
    except OSError as error:
        draft.problems.append(Problem(message=f"{directory}: {error.strerror}"))
        return
    for path in names if here not in around else ():
        if path.is_dir():
            _read_directory(path, draft, around | {here})
        else:
            _read_file(path, draft)
    if not names and not around:
        message = f"{directory}: there is no inventory in this directory"
        draft.problems.append(Problem(message=message, hint="put .toml, .ini or .yml files or executables there"))


def _read_file(path: Path, draft: Draft) -> None:
    program = _is_program(path)
    if path.suffix == _NATIVE:
        read_native(path, draft)
    elif program and os.access(path, os.X_OK):
        read_script(path, draft)
    elif program:
        spot = Spot(Position(file=str(path), line=0, column=0))
        draft.problems.append(spot.problem("this is a program that cannot be run", f"chmod +x {path}"))
        draft.incomplete = True
    elif text := read_text(path, draft):
        _read_text(text, path.suffix, draft)


def _is_program(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_PROGRAM)
    except OSError:
        return False  # whoever reads it will say so


def _read_text(text: Text, ending: str, draft: Draft) -> None:
    from opsflow.inventory.yamlgroups import read_yaml  # noqa: PLC0415 - start-up time

    if text.encrypted:
        hint = f"decrypt it: ansible-vault decrypt {text.path}"
        draft.problems.append(
            text.spot(1).problem("an inventory that ansible-vault has encrypted cannot be read", hint)
        )
        draft.incomplete = True
    elif ending == ".ini" and _is_like_yaml(text):
        hint = f"rename it: {text.path.removesuffix('.ini')}.yml"
        draft.problems.append(text.spot(1).problem("this looks like YAML in a file for INI", hint))
        draft.incomplete = True
    elif ending == ".json":
        # In JSON tabs stand only between values, where YAML does not take them.
        read_yaml(Text(text.path, text.text.replace("\t", " ")), draft)
    elif ending in _YAML or (ending != ".ini" and _is_like_yaml(text)):
        read_yaml(text, draft)
    else:
        read_ini(text, draft)


def _is_like_yaml(text: Text) -> bool:
    """Whether the first line that says something looks like YAML."""
    first = next((line for line in text.lines if line.strip() and line.lstrip()[0] not in "#;"), "")
    return bool(_LIKE_YAML.match(first.rstrip()))
