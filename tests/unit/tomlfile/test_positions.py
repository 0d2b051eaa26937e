"""The places of a TOML text agree with what tomli says the text holds."""

from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from opsflow.tomlfile import find_places

BARE = st.text("abzAZ09_-", min_size=1, max_size=4)
ANYTHING = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\x7f", "\\u007f")
    return f'"{escaped}"'


@st.composite
def keys(draw) -> str:
    kind = draw(st.sampled_from(["bare", "bare", "basic", "escaped", "literal"]))
    if kind == "bare":
        return draw(BARE)
    text = draw(ANYTHING)
    if kind == "escaped":
        return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}" for c in text) + '"'
    if kind == "literal" and "'" not in text:
        return f"'{text}'"
    return quoted(text)


DOTS = st.sampled_from([".", " . ", "\t.", ". "])
FILLING = st.sampled_from(["", " ", "\t", "\n", " # a ] } , \" ' comment\n", "\n\n  "])
SCALARS = st.one_of(
    st.sampled_from(
        [
            "1", "+0", "0x_ff".replace("_", ""), "1_000", "-2.5e3", "inf", "nan", "true", "false",
            "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00.5",
            '""', "''", '""""""', "''''''", '"""a""b"""', '""""a"""""', "''''a'''''", "'''#]}'''",
            '"""\n[x]\ny = """', '"""\\"""\\\\"""', '"\\\\"', '"\\""', '"#,]}="', "'\\'", '"""\\\n   x"""', "'''\n'a''\n'''",
        ]
    ),
    ANYTHING.map(quoted),
)  # fmt: skip


@st.composite
def dotted(draw) -> str:
    parts = draw(st.lists(keys(), min_size=1, max_size=3))
    return draw(DOTS).join(parts)


@st.composite
def arrays(draw, inner) -> str:
    items = draw(st.lists(inner, max_size=3))
    fill = lambda: draw(FILLING)  # noqa: E731
    text = "[" + fill() + "".join(item + fill() + "," + fill() for item in items[:-1])
    return text + (items[-1] + fill() + draw(st.sampled_from(["", ","])) + fill() if items else "") + "]"


@st.composite
def tables(draw, inner) -> str:
    pairs = [f"{draw(dotted())} = {draw(inner)}" for _ in range(draw(st.integers(0, 3)))]
    fill = lambda: draw(FILLING)  # noqa: E731
    return "{" + fill() + ",".join(fill() + pair + fill() for pair in pairs) + "}"


VALUES = st.recursive(SCALARS, lambda inner: st.one_of(arrays(inner), tables(inner)), max_leaves=6)


@st.composite
def documents(draw) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["pair", "pair", "pair", "table", "array", "filling"]))
        space = draw(st.sampled_from(["", "  ", "\t"]))
        if kind == "pair":
            lines.append(f"{space}{draw(dotted())}{space}={space}{draw(VALUES)}{space}")
        elif kind == "filling":
            lines.append(space + draw(st.sampled_from(["", "# [not] = a"])))
        else:
            left, right = ("[", "]") if kind == "table" else ("[[", "]]")
            lines.append(f"{space}{left}{space}{draw(dotted())}{space}{right} # x")
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def paths_in(data: Any, path=()):
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from paths_in(value, (*path, key))


def value_at(data: Any, path):
    for part in path:
        data = data[part]
    return data


def starts_with_key(text: str, offset: int, key: str) -> bool:
    if text.startswith(key, offset) and key:
        return True
    for end in range(offset + 1, len(text) + 1):
        try:
            if tomli.loads(f"{text[offset:end]} = 1") == {key: 1}:
                return True
        except tomli.TOMLDecodeError:
            continue
    return False


def starts_with_value(text: str, offset: int, value: Any) -> bool:
    if text.startswith("[[", offset) and isinstance(value, dict):
        return True
    for end in range(offset + 1, len(text) + 1):
        try:
            if repr(tomli.loads(f"v = {text[offset:end]}\n")["v"]) == repr(value):
                return True
        except tomli.TOMLDecodeError:
            continue
    return False


def check(document: str) -> None:
    data = tomli.loads(document)
    text = document.replace("\r\n", "\n")
    offsets = find_places(document).offsets
    assert set(offsets) == set(paths_in(data))
    for path, offset in offsets.items():
        if isinstance(path[-1], str):
            assert starts_with_key(text, offset, path[-1]), (path, text[offset:])
        else:
            assert starts_with_value(text, offset, value_at(data, path)), (path, text[offset:])


@given(documents())
def test_every_path_of_a_generated_document_has_the_place_where_it_is_written(document):
    try:
        tomli.loads(document)
    except tomli.TOMLDecodeError:
        return
    check(document)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "# only a comment",
        "a = 1",
        'a = """\nb = 2\n"""\nc = 3',
        "[a.b]\nx = 1\n[a]\ny = 2",
        "[[a]]\nx = 1\n[a.t]\ny = 1\n[[a]]\n[a.t]\ny = 2\n[[a.l]]\nz=1\n[[a.l]]\nz=2\n[[a]]\n[[a.l]]\nz=3",
        "[[a.b]]\n[a.b.c]\nd.e = 1\n[[a.b]]\n[a.x]",
        "a = [[1, [2]], {b = [3, {c.d = 4}]}]\n\"quoted key\".'other'.third = { x = { } , y = [ ] }",
        "a = [ # ]\n  1, # }\n  2,\n]",
        '"\\u0061".b = 1\na.c = 2',
        "a = 1979-05-27 07:32:00 # ]",
        "a = { b = 1,\n # c\n d = 2,\n }",
    ],
)
def test_every_path_of_a_tricky_document_has_the_place_where_it_is_written(document):
    check(document)


def test_nesting_as_deep_as_tomli_takes_is_no_problem():
    check("a = " + "[" * 200 + "{b = 1}" + "]" * 200)


def test_a_table_written_as_a_header_is_told_from_an_inline_one():
    places = find_places("vars = {a = 1}\n[defaults]\nx.y = 2\n[[step]]\n[step.with]\n")
    assert places.headers == {("defaults",), ("step", 0), ("step", 0, "with")}
