"""Host patterns: groups, hosts, globs, ranges, `a & b`, `!c`, `a[0]`, `a[0:2]`, `@file`, `all`, `localhost`.

Terms stand between spaces, commas or colons. As in Ansible, what plain terms name is joined first, then cut down to
each `&` term, then freed of each `!` term, whatever their order:
https://docs.ansible.com/ansible/latest/inventory_guide/intro_patterns.html
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from opsflow.errors import InputError, Problem
from opsflow.inventory.ranges import expand, name_hint
from opsflow.model import LOCALHOST
from opsflow.tomlfile import did_you_mean, local_path

_TERM = re.compile(r"(&\s*!|[&!])?\s*(@[^\s,]+|(?:\[[^\]]+\]|[^\s,:&!\[\]])+)")
_BETWEEN = re.compile(r"[\s,:]*")
_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]{1,9})|(-?[0-9]{1,9})?:(-?[0-9]{1,9})?)\]")
_RANGE = re.compile(r"\[[^\[\]]*:[^\[\]]*\]")
_SHOWN = 20
_GLOB = re.compile(r"[*?\[]")


class Matcher:
    """Finds names by pattern.

    Args:
        hosts: All names, in order.
        groups: Names of hosts by group, in the same order; `all` is one of them.
        directory: Where relative paths after `@` begin.
    """

    def __init__(self, *, hosts: Collection[str], groups: Mapping[str, Sequence[str]], directory: Path) -> None:
        self._hosts = hosts
        self._groups = groups
        self._directory = directory

    def match(self, pattern: str) -> list[str]:
        """The hosts that a pattern names, in order; `localhost`, if it is not among them, comes last.

        Raises:
            InputError: the pattern is malformed, or names what does not exist.
        """
        pattern = pattern.strip()
        if pattern in self._hosts or pattern in self._groups:  # even if it holds a colon
            return self._in_order(self._named(pattern))
        terms = self._terms(pattern)
        plain = [name for sign, name in terms if not sign]
        found = set[str]().union(*map(self._named, plain)) if plain else set(self._hosts)
        for sign, name in terms:
            if sign == "&":
                found &= set(self._named(name))
            elif sign == "!":
                found -= set(self._named(name))
        return self._in_order(found)

    def _terms(self, pattern: str) -> list[tuple[str, str]]:
        terms = []
        at = 0
        while (at := _end(_BETWEEN, pattern, at)) < len(pattern):
            term = _TERM.match(pattern, at)
            if term is None:
                hint = "write names, globs, `a & b`, `!c`, `a[0]`, `a[0:2]`, `@file`, with commas between"
                raise InputError([Problem(message=f"malformed host pattern `{pattern}`", hint=hint)])
            terms.append(((term[1] or "")[-1:], term[2]))  # `& !c` is `!c`
            at = term.end()
        if not terms:
            raise InputError([Problem(message="empty host pattern", hint="`all` names every host of the inventory")])
        return terms

    def _named(self, name: str) -> Sequence[str]:
        """The hosts of one term."""
        if name.startswith("@"):
            return self._from_file(name[1:])
        if name in self._groups:
            return self._groups[name]
        if name in self._hosts or name == LOCALHOST:
            return [name]
        subscript = _SUBSCRIPT.fullmatch(name)
        if subscript and (self._is_known(subscript[1]) or not _RANGE.search(name)):
            return _subscribed(self._named(subscript[1]), subscript)
        if _RANGE.search(name):
            return self._of_range(name)
        if _GLOB.search(name):
            groups = [hosts for group, hosts in self._groups.items() if fnmatchcase(group, name)]
            hosts = [host for host in self._hosts if fnmatchcase(host, name)]
            return self._in_order({host for found in (*groups, hosts) for host in found})
        raise InputError([Problem(message=f"there is no host or group `{name}`", hint=self._like(name))])

    def _is_known(self, name: str) -> bool:
        return name in self._groups or name in self._hosts or name == LOCALHOST or bool(_GLOB.search(name))

    def _of_range(self, name: str) -> list[str]:
        """The hosts of a name with ranges, all of which there must be."""
        try:
            hosts = expand(name)
        except ValueError as error:
            raise InputError([Problem(message=f"host pattern: {error}", hint=name_hint(name))]) from None
        strangers = [host for host in hosts if host not in self._hosts]
        if strangers:
            more = f", nor {len(strangers) - 1} more of `{name}`" if len(strangers) > 1 else ""
            raise InputError(
                [Problem(message=f"there is no host `{strangers[0]}`{more}", hint=self._like(strangers[0]))]
            )
        return hosts

    def _from_file(self, name: str) -> list[str]:
        path = local_path(self._directory, name)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"host pattern `@{name}`: {error.strerror}: {path}") from error
        except UnicodeDecodeError:
            raise InputError(f"host pattern `@{name}`: not UTF-8: {path}") from None
        names = [word for line in lines if (word := line.partition("#")[0].strip())]
        strangers = [host for host in names if host not in self._hosts and host != LOCALHOST]
        if strangers:
            raise InputError(
                [
                    Problem(message=f"{path}: there is no host `{host}`", hint=did_you_mean(host, self._hosts))
                    for host in strangers
                ]
            )
        return names

    def _in_order(self, names: Iterable[str]) -> list[str]:
        names = set(names)
        found = [host for host in self._hosts if host in names]
        return [*found, LOCALHOST] if LOCALHOST in names and LOCALHOST not in self._hosts else found

    def _like(self, name: str) -> str:
        groups = list(self._groups)
        more = f" and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
        return did_you_mean(name, [*groups, *self._hosts]) or f"groups are: {', '.join(groups[:_SHOWN])}{more}"


def _subscribed(names: Sequence[str], subscript: re.Match[str]) -> Sequence[str]:
    """Of the names those with the given indices, the last one included, as in Ansible."""
    _, single, first, last = subscript.groups()
    if single is not None:
        index = int(single)
        return names[index:][:1] if index >= -len(names) else []
    end = None if last is None or int(last) == -1 else int(last) + 1
    return names[int(first or 0) : end]


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
