"""What is said of wrong playbooks: where, what, and what to do, word by word.

Of those that a cat walked over something is said, too, and nothing breaks: in CI of 90,000; OPSFLOW_FUZZ=100000 tries as many.
"""

import os
import random
import re
from pathlib import Path

import pytest

from opsflow import app
from opsflow.errors import InputError

CORPUS = Path(__file__).with_name("wrong_playbooks.txt").read_text(encoding="utf-8")
INVENTORY = """
groups.web = { hosts = ["web-1", "web-2"], vars = { shard = "a" } }
groups.db = { hosts = ["db-1"], vars = { shard = "b" } }
"""


def cases() -> dict[str, tuple[str, str]]:
    """By name: the playbook, and what is said of it."""
    parts = re.compile(r"(.*)\n==== play.toml\n(.*)==== told\n(.*)", re.DOTALL)
    found = [parts.fullmatch(case).groups() for case in CORPUS.split("\n#### ")[1:]]
    return {name: (text, told.strip("\n")) for name, text, told in found}


CASES = cases()


def test_there_are_more_than_a_hundred():
    assert len(CASES) > 100


@pytest.mark.parametrize(("text", "told"), CASES.values(), ids=list(CASES))
def test_a_wrong_playbook_is_told_word_by_word(text, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "opsflow.toml").touch()
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "prod.toml").write_text(INVENTORY)
    (tmp_path / "play.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        app.validate(app.Request(playbook=Path("play.toml"), inventory="prod"), app.settings(tmp_path))
    assert str(caught.value).replace(str(tmp_path), "PROJECT") == told


TRIES = int(os.environ.get("OPSFLOW_FUZZ", "90000" if os.environ.get("CI") else "5000"))
ROOT = Path(__file__).resolve().parents[3]
TEXTS = [*(text for text, _ in CASES.values()), *(path.read_text() for path in (ROOT / "playbooks").rglob("*.toml"))]
PIECES = [
    *('"', "'", "[", "]", "[[", "{", "}", "=", "\n", "{{", "}}", "{%", "#", "\\", "\0", "\ufeff", "é", "\U0001f600"),
    *(
        "true",
        "0",
        "-1",
        "1e400",
        "nan",
        "1979-05-27",
        "[]",
        "{}",
        '""',
        "with",
        "needs",
        "foreach",
        "vars",
        "localhost",
    ),
    *('"{{ item }}"', '"{{ outputs.one.stdout }}"', '"{{ 9 ** 9 ** 9 }}"', '"{{ range(10**9) | list }}"', '"10m"'),
    *('per = "host"\n', "finally = true\n", 'when = "true"\n', 'foreach = ["a"]\n', 'run_once = "shard"\n', "[vars]\n"),
]


def mutated(dice):
    """A playbook with a few mistakes more."""
    text = dice.choice(TEXTS)
    for _ in range(dice.choice([1, 1, 2, 3, 8])):
        at, other = dice.randrange(len(text) + 1), dice.randrange(len(text) + 1)
        lines = text.split("\n")
        match dice.randrange(6):
            case 0:
                text = text[:at] + dice.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + dice.randrange(12) :]
            case 2:
                start, end = sorted((at, other))
                text = text[:start] + text[start:end] * 2 + text[end:]
            case 3:
                dice.shuffle(lines)
                text = "\n".join(lines)
            case 4:
                lines[dice.randrange(len(lines))] = dice.choice(dice.choice(TEXTS).split("\n"))
                text = "\n".join(lines)
            case _:
                key, _, _ = lines[place := dice.randrange(len(lines))].partition("=")
                lines[place] = f"{key}= {dice.choice(PIECES)}"
                text = "\n".join(lines)
    return text


@pytest.mark.parametrize("part", range(10))
def test_whatever_is_in_a_playbook_what_is_wrong_is_told(part, judge):
    judged, right = judge(INVENTORY), 0
    for number in range(part, TRIES, 10):
        right += judged(mutated(random.Random(number)))
    assert right < TRIES / 10
