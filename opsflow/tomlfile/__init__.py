"""TOML files read with the place of everything in them, so that whatever is wrong can be pointed at."""

from opsflow.tomlfile.border import Border, border_problems
from opsflow.tomlfile.positions import KeyPath, Places, find_places
from opsflow.tomlfile.reader import (
    TomlFile,
    did_you_mean,
    local_path,
    parse_value,
    project_directory,
    raise_problems,
    read,
)

__all__ = [
    "Border",
    "KeyPath",
    "Places",
    "TomlFile",
    "border_problems",
    "did_you_mean",
    "find_places",
    "local_path",
    "parse_value",
    "project_directory",
    "raise_problems",
    "read",
]
