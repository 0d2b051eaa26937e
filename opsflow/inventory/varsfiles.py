"""Variables in `group_vars/` and `host_vars/` beside an inventory.

https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#organizing-host-and-group-variables
"""

from collections.abc import Iterator
from pathlib import Path

from opsflow.errors import Position
from opsflow.inventory.draft import ALL, UNGROUPED, Draft, GroupDraft, Said, Spot
from opsflow.inventory.text import read_text

_ENDINGS = (".yml", ".yaml", ".json")


def read_variables(directory: Path, draft: Draft) -> None:
    """Read what is said there of the groups and hosts of a draft."""
    groups, hosts = directory / "group_vars", directory / "host_vars"
    if groups.is_dir():
        draft.foreign = True
        there = _names(groups)
        for name in dict.fromkeys((ALL, UNGROUPED, *draft.groups)):
            if found := _said(groups, name, there, draft):
                draft.groups.setdefault(name, GroupDraft()).files += found
    if hosts.is_dir():
        draft.foreign = True
        there = _names(hosts)
        for name, host in draft.hosts.items():
            host.files += _said(hosts, name, there, draft)


def _names(directory: Path) -> frozenset[str]:
    return frozenset(path.name for path in directory.iterdir())


def _said(directory: Path, name: str, there: frozenset[str], draft: Draft) -> list[Said]:
    """What a name's files say; of `NAME`, `NAME.yml`, `NAME.yaml` and `NAME.json` the first that is there counts."""
    candidates = [candidate for candidate in (name, *(name + ending for ending in _ENDINGS)) if candidate in there]
    if not candidates:
        return []
    first, *others = candidates
    for other in others:
        spot = Spot(Position(file=str(directory / other), line=0, column=0))
        notice = spot.problem(f"this is not read: `{first}` stands beside it", "join the two")
        draft.notices.add(notice.message, notice)
    path = directory / first
    return [said for file in (_within(path) if path.is_dir() else [path]) for said in _file(file, draft)]


def _within(directory: Path) -> Iterator[Path]:
    """All files of variables in a directory, by name."""
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            yield from _within(path)
        elif path.is_file() and path.suffix in {"", *_ENDINGS}:
            yield path


def _file(path: Path, draft: Draft) -> Iterator[Said]:
    text = read_text(path, draft)
    if text is None:
        return
    if text.encrypted:
        notice = "a file that ansible-vault has encrypted is not understood: its variables are not there"
        draft.notices.add(notice, text.spot(1).problem(notice, "give them as secrets: {{ secret('env:NAME') }}"))
        return
    from opsflow.inventory.yamlvalues import read_mapping  # noqa: PLC0415 - start-up time

    yield from read_mapping(text, draft)
