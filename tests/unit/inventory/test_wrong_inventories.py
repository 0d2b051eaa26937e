"""What is said of wrong inventories: where, what, and what to do, word by word."""

import re
from pathlib import Path

import pytest

from opsflow.errors import InputError
from opsflow.inventory import load

CORPUS = Path(__file__).with_name("wrong_inventories.txt").read_text(encoding="utf-8")


def cases() -> dict[str, tuple[dict[str, str], str]]:
    """By name: the files, and what is said of the first of them."""
    found = {}
    for case in CORPUS.split("\n#### ")[1:]:
        name, _, rest = case.partition("\n")
        parts = re.split(r"^==== (.*)\n", rest, flags=re.MULTILINE)[1:]
        files = dict(zip(parts[::2], parts[1::2], strict=True))
        found[name] = files, files.pop("told").strip("\n")
    return found


CASES = cases()


@pytest.fixture
def source(tmp_path, monkeypatch, request):
    """Where the inventory of a case is; the current directory is that of its files."""
    monkeypatch.chdir(tmp_path)
    files, _ = CASES[request.param]
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "prod.toml").touch()
    for name, content in files.items():
        path = tmp_path / name.rstrip("*")
        if content:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
            path.chmod(0o755 if name.endswith("*") else 0o644)
    return next(iter(files)).rstrip("/*")


def test_there_are_more_than_a_hundred():
    assert len(CASES) > 100


@pytest.mark.parametrize(
    ("source", "told"), [(name, told) for name, (_, told) in CASES.items()], ids=list(CASES), indirect=["source"]
)
def test_a_wrong_inventory_is_told_word_by_word(source, told, tmp_path):
    with pytest.raises(InputError) as caught:
        load(source, project=tmp_path)
    assert str(caught.value) == told


def test_a_line_that_nobody_could_look_at_is_not_shown(tmp_path):
    (tmp_path / "i.yml").write_text("[" * 2000)
    with pytest.raises(InputError) as caught:
        load(str(tmp_path / "i.yml"), project=tmp_path)
    assert str(caught.value) == f"{tmp_path}/i.yml:1:1001: not valid YAML: exceeded maximum nesting depth"


def test_a_character_that_no_text_has_is_told_with_its_place(tmp_path):
    (tmp_path / "i.yml").write_text("web:\n  hosts:\n    a\x07b:\n")
    with pytest.raises(InputError) as caught:
        load(str(tmp_path / "i.yml"), project=tmp_path)
    assert f"{tmp_path}/i.yml:3:6: not valid YAML: the character \\x07" in str(caught.value)


def test_lines_are_counted_as_editors_count_them(tmp_path):
    (tmp_path / "i.yml").write_text("\u2028\u2028web:\n  hosts: [a]\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(str(tmp_path / "i.yml"), project=tmp_path)
    assert f"{tmp_path}/i.yml:2:10: `hosts` of the group `web`" in str(caught.value)
