"""Host names with ranges: `game-[01:20]`, `rack-[a:f]`, `db-[0:10:2]`. As in Ansible, both ends belong to them.

https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#adding-ranges-of-hosts
"""

import re
from collections.abc import Sequence
from itertools import product
from math import prod

_RANGE = re.compile(r"\[([^\[\]]*)\]")
_NUMBERS = re.compile(r"([0-9]{0,18}):([0-9]{1,18})(?::([0-9]{1,18}))?")
_LETTERS = re.compile(r"([A-Za-z]):([A-Za-z])(?::([0-9]{1,18}))?")
_NAME = re.compile(r"(?!-)[^\s,&!@*?/\[\]]+")
NAME_HINT = "a name has no spaces, no brackets and none of , / & ! @ * ?, and does not begin with a dash"
_MOST = 100_000
"""Hosts that one name may stand for."""


def expand(name: str) -> list[str]:
    """The host names that a name with ranges stands for, in order.

    Raises:
        ValueError: a range is malformed or empty, or what comes out cannot be a host's name.
    """
    if "[" not in name and _NAME.fullmatch(name):
        return [name]
    *pieces, end = _RANGE.split(name)  # text, range, text, range, ..., text
    texts, ranges = pieces[::2], [_values(text) for text in pieces[1::2]]
    if "[" in "".join((*texts, end)) or "]" in "".join((*texts, end)):
        raise ValueError(f"`{name}` has a bracket without its other half: write ranges like [01:20]")
    if prod(map(len, ranges)) > _MOST:
        raise ValueError(f"`{name}` stands for more than {_MOST} hosts")
    names = ["".join(f"{t}{v}" for t, v in zip(texts, values, strict=True)) + end for values in product(*ranges)]
    if not _NAME.fullmatch(names[0]):
        raise ValueError(f"`{name}` cannot be a host's name")
    return names


def _values(text: str) -> Sequence[str]:
    if match := _NUMBERS.fullmatch(text):
        first, last = match[1] or "0", match[2]
        if first[0] == "0" and len(first) > 1 and len(first) != len(last):
            raise ValueError(f"`[{text}]`: both ends of a range with leading zeros must have the same length")
        numbers = range(int(first), int(last) + 1, _step(text, match[3]))
        if len(numbers) > _MOST:
            raise ValueError(f"`[{text}]` stands for more than {_MOST} hosts")
        found = [str(n).zfill(len(first)) for n in numbers]
    elif match := _LETTERS.fullmatch(text):
        found = [chr(n) for n in range(ord(match[1]), ord(match[2]) + 1, _step(text, match[3]))]
        if match[1].isupper() != match[2].isupper():
            raise ValueError(f"`[{text}]`: both ends of a range must be capital or small letters")
    else:
        raise ValueError(f"`[{text}]` is not a range: write [01:20], [a:f] or [0:10:2]")
    if not found:
        raise ValueError(f"`[{text}]` is empty: its end comes before its start")
    return found


def _step(text: str, step: str | None) -> int:
    if step is not None and int(step) == 0:
        raise ValueError(f"`[{text}]`: the step must not be 0")
    return int(step or 1)


def name_hint(name: str) -> str:
    """What to do about a name that `expand` refuses, if the message does not say it."""
    return "" if "[" in name or "]" in name else NAME_HINT
