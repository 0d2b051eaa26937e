"""Inventories in Ansible's INI form.

https://docs.ansible.com/ansible/latest/collections/ansible/builtin/ini_inventory.html
"""

import ast
import io
import math
import re
import shlex
import warnings
from functools import partial
from typing import Any

from opsflow.inventory.draft import ALL, GAP, UNGROUPED, Draft, Spot
from opsflow.inventory.names import group_name_problem, hosts_of
from opsflow.inventory.text import Text
from opsflow.inventory.variables import checked, group_variables
from opsflow.tomlfile import did_you_mean

_SECTION = re.compile(r"\[(?P<name>[^:\]\s]+)(?::(?P<kind>\w+))?\]\s*(?:#.*)?")
_NAME = re.compile(r"(?P<name>[^:\]\s]+)\s*(?:#.*)?")
_KINDS = ("hosts", "children", "vars")
_SIMPLE = re.compile(r"""(?:[^\s'"\\#]++|'[^']*+'|"[^"\\]*+")++""")
"""A word without a backslash."""
_LINE = re.compile(rf"{_SIMPLE.pattern}(?:\s++{_SIMPLE.pattern})*+")
"""A line of such words, without a comment."""
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_TEXT = re.compile(r"(?!(?:True|False|None)$)[A-Za-z_/][\w./:@-]*|[0-9]+(?:\.[0-9]+){2,}")
"""Values that are text at first sight: words, paths, addresses."""
_DEEPEST = 50


def read_ini(text: Text, draft: Draft) -> None:
    """Read an inventory; what is wrong with it are problems of the draft."""
    draft.foreign = True
    reader = _Reader(text, draft)
    for number, line in enumerate(text.lines, 1):
        reader.take(number, line)
    reader.end_section()


class _Reader:
    """The state between two lines: the section, and the variables that it has said so far."""

    def __init__(self, text: Text, draft: Draft) -> None:
        self._text = text
        self._draft = draft
        self._group = UNGROUPED
        self._kind = "hosts"
        self._variables: dict[str, Any] = {}
        self._places: dict[str, tuple[int, int]] = {}

    def take(self, number: int, line: str) -> None:
        """Read a line."""
        content = line.strip()
        if not content or content[0] in "#;":
            return
        column = len(line) - len(line.lstrip()) + 1
        spot = partial(self._text.spot, number, column)
        if section := _SECTION.fullmatch(content):
            self._begin(section["name"], section["kind"] or "hosts", spot())
        elif content[0] == "[" and content[-1] == "]":
            hint = "write [GROUP], [GROUP:vars] or [GROUP:children], without spaces"
            self._draft.problems.append(spot().problem(f"`{content}` is not a section", hint))
            self._kind = ""
        elif self._kind == "hosts":
            self._hosts(number, content, column)
        elif self._kind == "vars":
            self._variable(number, content, column)
        elif self._kind == "children":
            self._child(content, spot())

    def end_section(self) -> None:
        """No more lines of this section follow."""
        if self._variables:
            places, text = self._places, self._text
            group = self._draft.groups[self._group]
            group_variables(self._draft, group, self._variables, lambda name: text.spot(*places[name]))
        self._variables, self._places = {}, {}

    def _begin(self, name: str, kind: str, spot: Spot) -> None:
        self.end_section()
        self._group, self._kind = name, kind
        if kind not in _KINDS:
            hint = did_you_mean(kind, _KINDS) or "there are [GROUP], [GROUP:vars] and [GROUP:children]"
            self._draft.problems.append(spot.problem(f"`{kind}` is no kind of section", hint))
            self._kind = ""
        elif wrong := group_name_problem(name, spot):
            self._draft.problems.append(wrong)
            self._kind = ""
        elif kind == "vars" and name not in {ALL, UNGROUPED}:
            self._draft.spoken_of(name, spot)
        else:
            self._draft.group(name)

    def _hosts(self, number: int, content: str, column: int) -> None:
        words = self._words(number, content, column)
        if not words:
            return
        (first, at), *others = words
        names, port = hosts_of(first, self._draft, lambda: self._text.spot(number, at))
        wrong = next(((word, place) for word, place in others if "=" not in word[1:]), None)
        if names and wrong:
            word, place = wrong
            hint = "a host stands alone in its line, with NAME=VALUE behind it; a value with spaces needs quotes"
            hint = "take out the spaces around `=`" if "=" in (word for word, _ in others) else hint
            self._draft.problems.append(self._text.spot(number, place).problem(f"`{word}` is not NAME=VALUE", hint))
        if wrong or not names:
            return
        values: dict[str, Any] = {} if port is None else {"ansible_port": port}
        places = {"ansible_port": at} if port is not None else {}
        for word, place in others:
            name, _, value = word.partition("=")
            values[name], places[name] = self._value(value, number, place), place
        said = checked(self._draft, values, lambda name: self._text.spot(number, places[name])) if values else None
        for name in names:
            self._draft.group(self._group).hosts[name] = None
            host = self._draft.host(name)
            if said:
                host.said.append(said)

    def _words(self, number: int, content: str, column: int) -> list[tuple[str, int]]:
        """The words of a line as a shell has them, each with its column; a `#` begins a comment."""
        if _LINE.fullmatch(content):  # what most lines are: shlex takes its time
            return [(_unquoted(word[0]), column + word.start()) for word in _SIMPLE.finditer(content)]
        stream = io.StringIO(content)
        lexer = shlex.shlex(stream, posix=True)
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[tuple[str, int]] = []
        try:
            while True:
                start = stream.tell()
                word = lexer.get_token()
                if word is None:
                    return words
                start += len(content[start:]) - len(content[start:].lstrip())
                words.append((word, column + start))
        except ValueError:
            problem = self._text.spot(number, column + start).problem("a quote is not closed", "add its other half")
            self._draft.problems.append(problem)
            return []

    def _variable(self, number: int, content: str, column: int) -> None:
        name, equals, value = content.partition("=")
        name = name.strip()
        if not equals or not name:
            hint = "below [GROUP:vars] each line is NAME = VALUE"
            self._draft.problems.append(
                self._text.spot(number, column).problem(f"`{content}` is not NAME = VALUE", hint)
            )
        else:
            self._variables[name] = self._value(value.strip(), number, column)
            self._places[name] = (number, column)

    def _child(self, content: str, spot: Spot) -> None:
        found = _NAME.fullmatch(content)
        if found:
            self._draft.groups[self._group].children.setdefault(found["name"], lambda: spot)
        else:
            hint = "below [GROUP:children] each line names a group"
            self._draft.problems.append(spot.problem(f"`{content}` is not the name of a group", hint))

    def _value(self, text: str, number: int, column: int) -> Any:
        try:
            return value_of(text)
        except ValueError as error:
            notice = f"{error}: the variable is not there"
            self._draft.notices.add(notice, self._text.spot(number, column).problem(notice))
            return GAP


def _unquoted(word: str) -> str:
    return _QUOTED.sub(lambda part: part[1] or part[2] or "", word) if "'" in word or '"' in word else word


def value_of(text: str) -> Any:
    """A value as Ansible takes it: a literal of Python's if it is one, else text.

    Raises:
        ValueError: it is one that nobody could keep.
    """
    if _TEXT.fullmatch(text):
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    if text.startswith("!vault"):
        raise ValueError("a `!vault` value is not understood")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a text that is no program may look like a bad one
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    """A literal as JSON has it."""
    if depth > _DEEPEST:
        raise ValueError(f"a value is nested more than {_DEEPEST} levels deep")
    match value:
        case list() | tuple() | set():
            return [_plain(item, depth + 1) for item in value]
        case dict():
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        case bytes():
            return value.decode(errors="replace")
        case float() if not math.isfinite(value):
            raise ValueError(f"`{value}` is not a usable number")
        case str():
            return value.encode(errors="replace").decode()  # an escape may be half a character
        case int() | float() | None:
            return value
    return "..." if value is ... else str(value)
