"""What YAML nodes say, as data that JSON can hold."""

import math
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import yaml

from opsflow.inventory.draft import GAP, Draft, Said, Spot
from opsflow.inventory.text import Text
from opsflow.inventory.variables import checked, literally
from opsflow.inventory.yamlfile import TAG, NotYaml, YamlFile

_DEEPEST = 50
_MOST = 200_000
"""Values that one value may consist of: aliases make much of little."""
_VAULT = frozenset({"!vault", "!vault-encrypted"})


class _NotUnderstoodError(Exception):
    """A node whose value cannot be told. `hint`: what to do."""

    def __init__(self, node: yaml.Node, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.node = node
        self.hint = hint


class Values:
    """The values of a file's nodes."""

    def __init__(self, file: YamlFile) -> None:
        self._file = file
        self._known: dict[int, tuple[Any, int]] = {}
        self._constructor = yaml.constructor.SafeConstructor()
        self._scalars: Mapping[str, Callable[[yaml.ScalarNode], Any]] = {
            f"{TAG}str": lambda node: node.value,
            f"{TAG}null": lambda _: None,
            f"{TAG}bool": self._constructor.construct_yaml_bool,
            f"{TAG}int": self._constructor.construct_yaml_int,
            f"{TAG}float": self._constructor.construct_yaml_float,
            f"{TAG}timestamp": self._timestamp,
            "!unsafe": lambda node: literally(node.value),
        }

    def said(self, node: yaml.MappingNode) -> tuple[dict[str, Any], Callable[[str], Spot]]:
        """The variables of a mapping, and where each of them stands."""
        entries = {entry.key: entry for entry in self._file.entries(node)}
        values = {name: self._of(entry.node) for name, entry in entries.items()}
        return values, lambda name: entries[name].spot()

    def variables(self, node: yaml.MappingNode) -> Said:
        """The same, checked."""
        return checked(self._file.draft, *self.said(node))

    def _of(self, node: yaml.Node) -> Any:
        """A value; `GAP`, and a notice, if it cannot be understood."""
        try:
            return self._value(node, 0)[0]
        except _NotUnderstoodError as error:
            self._file.note(error.node, f"{error}: the variable is not there", error.hint)
            return GAP

    def _value(self, node: yaml.Node, depth: int) -> tuple[Any, int]:
        """A value, and of how many it consists."""
        if id(node) not in self._known:
            if depth > _DEEPEST:
                raise _NotUnderstoodError(node, f"a value is nested more than {_DEEPEST} levels deep")
            if isinstance(node, yaml.ScalarNode):
                found: tuple[Any, int] = self._scalar(node), 1
            else:
                found = self._container(node, depth)
            if found[1] > _MOST:
                raise _NotUnderstoodError(node, f"a value consists of more than {_MOST} others")
            self._known[id(node)] = found
        return self._known[id(node)]

    def _container(self, node: yaml.Node, depth: int) -> tuple[Any, int]:
        if node.tag not in {f"{TAG}map", f"{TAG}seq"}:
            raise _NotUnderstoodError(node, f"the tag `{_shown(node.tag)}` is not understood")
        if isinstance(node, yaml.MappingNode):
            pairs = {entry.key: self._value(entry.node, depth + 1) for entry in self._file.entries(node)}
            return {key: value for key, (value, _) in pairs.items()}, 1 + sum(size for _, size in pairs.values())
        items = [self._value(item, depth + 1) for item in node.value]
        return [value for value, _ in items], 1 + sum(size for _, size in items)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag in _VAULT:
            raise _NotUnderstoodError(
                node, f"a `{node.tag}` value is not understood", "give it as a secret: {{ secret('env:NAME') }}"
            )
        reader = self._scalars.get(node.tag)
        if reader is None:
            raise _NotUnderstoodError(node, f"the tag `{_shown(node.tag)}` is not understood")
        try:
            value = reader(node)
        except (ValueError, KeyError, OverflowError, IndexError):
            raise _NotUnderstoodError(node, f"this is no `{_shown(node.tag)}`", "text needs quotes") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise _NotUnderstoodError(node, f"`{node.value}` is not a usable number")
        return value

    def _timestamp(self, node: yaml.ScalarNode) -> str:
        try:
            moment: date = self._constructor.construct_yaml_timestamp(node)
        except ValueError:  # it only looks like one
            return str(node.value)
        return moment.isoformat()


def read_mapping(text: Text, draft: Draft) -> list[Said]:
    """The variables that a file is a mapping of; what is wrong with it are problems of the draft."""
    try:
        file = YamlFile(text, draft)
    except NotYaml:
        return []
    if isinstance(file.root, yaml.MappingNode):
        return [Values(file).variables(file.root)]
    if file.root is not None and file.root.value:
        message = "a file of variables is a mapping"
        draft.problems.append(file.spot(file.root).problem(message, "write `NAME: VALUE` in each line"))
    return []


def _shown(tag: str) -> str:
    return tag.replace(TAG, "!!")
