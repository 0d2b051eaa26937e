"""JSON Schema of the tables of a file, for editors. Format: https://json-schema.org/draft/2020-12."""

from collections.abc import Mapping
from typing import Any

from opsflow.tomlfile.border import Border

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def file_schema(model: type[Border], title: str, told: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The schema of a whole file, as pydantic gives it, without what TOML does not have.

    Args:
        model: The file.
        title: What it is.
        told: What is said of keys, by name of the table's class.
    """
    found = model.model_json_schema(by_alias=True)
    tables = {**found.pop("$defs", {}), model.__name__: found}
    for name, table in tables.items():
        for key, about in table.get("properties", {}).items():
            table["properties"][key] = _key(about) | {"description": told.get(name, {}).get(key, "")}
        table.pop("title", None)
    whole = tables.pop(model.__name__)
    return {"$schema": DIALECT, "title": title, **whole, "$defs": tables}


def _key(about: Mapping[str, Any]) -> dict[str, Any]:
    """A key without the name that pydantic made up for it, and without null, which TOML has not."""
    found = {word: value for word, value in about.items() if word != "title"}
    if found.get("default", ...) in (None, {}, [], ""):
        del found["default"]
    if "$ref" in found:
        found.pop("default", None)
    choices = [one for one in found.pop("anyOf", []) if one != {"type": "null"}]
    return {**found, **choices[0]} if len(choices) == 1 else found | ({"anyOf": choices} if choices else {})
