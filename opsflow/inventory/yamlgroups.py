"""Inventories in Ansible's YAML form.

https://docs.ansible.com/ansible/latest/collections/ansible/builtin/yaml_inventory.html
"""

from collections.abc import Callable, Mapping

import yaml

from opsflow.inventory.draft import Draft, GroupDraft, Said, Spot
from opsflow.inventory.names import group_name_problem, hosts_of
from opsflow.inventory.text import Text
from opsflow.inventory.variables import group_variables
from opsflow.inventory.yamlfile import TAG, Entry, NotYaml, YamlFile
from opsflow.inventory.yamlvalues import Values
from opsflow.tomlfile import did_you_mean

_SECTIONS = ("hosts", "vars", "children")
_DEEPEST = 50


def read_yaml(text: Text, draft: Draft) -> None:
    """Read an inventory; what is wrong with it are problems of the draft."""
    draft.foreign = True
    try:
        file = YamlFile(text, draft)
    except NotYaml:
        return
    root = file.root
    if _is_nothing(root):
        return
    assert root is not None
    if not isinstance(root, yaml.MappingNode):
        draft.problems.append(file.spot(root).problem("an inventory is a mapping of groups", "begin with `all:`"))
        draft.incomplete = True
        return
    entries = file.entries(root)
    plugin = next((entry for entry in entries if entry.key == "plugin"), None)
    if plugin and isinstance(plugin.node, yaml.ScalarNode):
        message = f"this configures the inventory plugin `{plugin.node.value}`, which opsflow does not run"
        hint = f"make an executable inventory of it: a script that runs `ansible-inventory -i {text.path} --list`"
        draft.problems.append(plugin.spot().problem(message, hint))
        draft.incomplete = True
        return
    groups = _Groups(file)
    for entry in entries:
        groups.read(entry, 0)


class _Groups:
    """Fills a draft from the groups of a file."""

    def __init__(self, file: YamlFile) -> None:
        self._file = file
        self._draft = file.draft
        self._values = Values(file)
        self._sections: Mapping[str, Callable[[GroupDraft, list[Entry], int], None]] = {
            "hosts": self._hosts,
            "children": self._children,
        }

    def read(self, entry: Entry, depth: int) -> bool:
        """A group and all that is in it; whether it has a name that groups can have."""
        wrong = group_name_problem(entry.key, entry.spot())
        if not entry.is_text:
            wrong = entry.spot().problem(f"the group's name `{entry.key}` is not text", "put it in quotes")
        if wrong:
            self._draft.problems.append(wrong)
            return False
        group = self._draft.group(entry.key)
        if depth > _DEEPEST:
            self._problem(entry.spot(), f"groups are nested more than {_DEEPEST} levels deep")
        elif isinstance(entry.node, yaml.MappingNode):
            for section in self._file.entries(entry.node):
                self._section(entry.key, group, section, depth)
        elif not _is_nothing(entry.node):
            hint = "below a group stand `hosts`, `vars` and `children`"
            self._problem(self._file.spot(entry.node), f"the group `{entry.key}` must be a mapping", hint)
        return True

    def _section(self, name: str, group: GroupDraft, section: Entry, depth: int) -> None:
        if section.key not in _SECTIONS:
            notice = f"`{section.key}` is no part of a group, and is passed over"
            hint = did_you_mean(section.key, _SECTIONS) or "below a group stand `hosts`, `vars` and `children`"
            self._draft.notices.add(notice, section.spot().problem(notice, hint))
            return
        if _is_nothing(section.node):
            return
        if not isinstance(section.node, yaml.MappingNode):
            self._single(name, group, section, depth)
        elif section.key == "vars":
            group_variables(self._draft, group, *self._values.said(section.node))
        else:
            self._sections[section.key](group, self._file.entries(section.node), depth)

    def _single(self, name: str, group: GroupDraft, section: Entry, depth: int) -> None:
        """A section that is no mapping: one name is allowed."""
        node = section.node
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{TAG}str" and section.key in self._sections:
            self._sections[section.key](group, [self._file.single(node)], depth)
            return
        hint = (
            "write `NAME: VALUE` in each line"
            if section.key == "vars"
            else "write a name and a colon in each line, without a dash"
        )
        self._problem(self._file.spot(node), f"`{section.key}` of the group `{name}` must be a mapping", hint)

    def _children(self, group: GroupDraft, entries: list[Entry], depth: int) -> None:
        for entry in entries:
            if self.read(entry, depth + 1):
                group.children.setdefault(entry.key, entry.spot)

    def _hosts(self, group: GroupDraft, entries: list[Entry], depth: int) -> None:  # noqa: ARG002 - as its sibling
        for entry in entries:
            if not entry.is_text:
                self._problem(entry.spot(), f"the host's name `{entry.key}` is not text", "put it in quotes")
                continue
            names, port = hosts_of(entry.key, self._draft, entry.spot)
            said = self._host_variables(entry, port)
            for name in names:
                group.hosts[name] = None
                self._draft.host(name).said += said

    def _host_variables(self, entry: Entry, port: int | None) -> list[Said]:
        found = [] if port is None else [Said({"ansible_port": port}, lambda _: entry.spot())]
        if isinstance(entry.node, yaml.MappingNode):
            found.append(self._values.variables(entry.node))
        elif not _is_nothing(entry.node):
            hint = "below a host stand its variables, `NAME: VALUE` in each line"
            self._problem(self._file.spot(entry.node), f"the host `{entry.key}` must be a mapping", hint)
        return found

    def _problem(self, spot: Spot, message: str, hint: str = "") -> None:
        self._draft.problems.append(spot.problem(message, hint))


def _is_nothing(node: yaml.Node | None) -> bool:
    return node is None or node.tag == f"{TAG}null"
