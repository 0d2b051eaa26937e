"""What all forms of Ansible's do with variables."""

from collections.abc import Callable, Mapping
from typing import Any

from opsflow.inventory.draft import Draft, GroupDraft, Said, Spot
from opsflow.model import RESERVED_NAMES

PRIORITY = "ansible_group_priority"


def checked(draft: Draft, values: Mapping[str, Any], at: Callable[[str], Spot]) -> Said:
    """Variables; a name under which templates see something else is a notice."""
    for name in RESERVED_NAMES.intersection(values):
        notice = f"the variable `{name}` is hidden: templates see something else under that name"
        draft.notices.add(notice, at(name).problem(notice))
    return Said(values, at)


def group_variables(draft: Draft, group: GroupDraft, values: dict[str, Any], at: Callable[[str], Spot]) -> None:
    """What is said of a group where it is declared: variables, and among them its priority."""
    if PRIORITY in values:
        try:
            group.priority = int(str(values.pop(PRIORITY)))
        except ValueError:
            draft.problems.append(at(PRIORITY).problem(f"`{PRIORITY}` must be a whole number"))
    if values:
        group.said.append(checked(draft, values, at))


def literally(text: str) -> str:
    """A text that is never a template, as one."""
    if "{{" not in text and "{%" not in text and "{#" not in text:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{{{ "{escaped}" }}}}'
