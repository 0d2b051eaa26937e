"""Made-up expressions, templates, paths, ids and inputs, most of them wrong in ways nobody would write down: all told.

How many is set as for the mutated playbooks of `test_wrong_playbooks.py`.
"""

import json
import os
import random

import pytest

from opsflow.playbook.sandbox import FILTERS, FUNCTIONS, TESTS

NAMES = (
    *("item", "host", "shard", "one", "broken", "outputs", "outputs.one", "outputs.one.stdout", "steps.one"),
    *("run", "x.y", "loop"),
)
LITERALS = (
    *("0", "1", "-1", "7.5", "1e400", "1e308", "10 ** 400", "9 ** 9 ** 9", "0xff", "1_000", "true", "none"),
    *("[]", "{}", "()", "''", "'a'", "'é'", "'\\ud800'", "'\\x00'", "'%s %d'", "'{:9}'", "'{0.x}'"),
    *("'%999999999d'", "'web'", "'~nobody-has-it/x'", "[1, 'a']", "{'a': 1}", "{[]: 1}", "[[], {}]"),
    *("range(3)", "range(10 ** 9)", "'env:A'", "'x' * 99", "[1] * 10 ** 9"),
)
METHODS = (
    *("items()", "keys()", "x", "a", "format(1)", "format_map({})", "split()", "join([1])", "upper()"),
    *("__class__", "encode('zz')", "ljust(10 ** 9)", "replace('a', 'b' * 99)", "append(1)", "pop()"),
    *("center(5, 'ab')", "real", "isoformat()", "index('zz')"),
)
OPERATORS = (
    *("+", "-", "*", "/", "//", "%", "**", "~", "==", "<", ">=", "in", "not in", "and", "or", "is", "|", ","),
    *("if", "."),
)
FORMS = """\
{{ EXPRESSION }}
x {{ EXPRESSION }}
{{- EXPRESSION -}}
{{ EXPRESSION }
{# EXPRESSION #}
{% if EXPRESSION %}a{% endif %}
{% set a = EXPRESSION %}{{ a }}
{% for a, b in EXPRESSION %}{{ loop.index }}{{ a }}{% endfor %}
{% for a in EXPRESSION recursive %}{{ loop(a) }}{% endfor %}
{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(EXPRESSION) }}
{% include EXPRESSION %}
{% import EXPRESSION as x %}
{% filter upper %}{{ EXPRESSION }}{% endfilter %}
{% call EXPRESSION %}{% endcall %}
{% with a = EXPRESSION %}{{ a }}{% endwith %}
{% block b %}{{ EXPRESSION }}{% endblock %}
{% extends EXPRESSION %}
{% raw %}{{ EXPRESSION }}{% endraw %}
""".splitlines()
PATHS = ("~nobody-has-it/x", "a\0b", "a/../b", "/dev/null/x", "C:\\x", "play.toml", "-", "é" * 300, "part.toml")
IDS = (
    *("a/b", "", "a b", "é", "item", "host", "0", "__class__", "a" * 300, "one", "one/one", "-x", "x.y"),
    *("a\nb", "two", "{{ 1 }}"),
)
PATTERNS = (
    *("web", "all", "web[0]", "web[9999999999999999999]", "web[a:b]", "@~nobody-has-it/x", "@play.toml", "@."),
    *("&", "!", "!all", "w[", "*", "", "\0"),
)
TRIES = int(os.environ.get("OPSFLOW_FUZZ", "40000" if os.environ.get("CI") else "3000"))
INVENTORY = """
groups.web = { hosts = ["web-1", "web-2"], vars = { shard = "a", broken = "{{ zz }}" } }
"""


def expression(dice, depth=0):
    """One of jinja2's, or nearly."""
    kind = dice.randrange(12) if depth < 4 else dice.randrange(3)

    def more():
        return expression(dice, depth + 1)

    match kind:
        case 0:
            return dice.choice(NAMES)
        case 1 | 2:
            return dice.choice(LITERALS)
        case 3:
            return f"{more()} {dice.choice(OPERATORS)} {more()}"
        case 4:
            return f"{more()} | {dice.choice(FILTERS)}"
        case 5:
            return f"{more()} | {dice.choice(FILTERS)}({_arguments(dice, more)})"
        case 6:
            return f"{more()} is {dice.choice(('', 'not '))}{dice.choice(TESTS)}{dice.choice(('', f'({more()})'))}"
        case 7:
            return f"{dice.choice(FUNCTIONS)}({_arguments(dice, more)})"
        case 8:
            return f"({more()}).{dice.choice(METHODS)}"
        case 9:
            return f"({more()})[{more()}{dice.choice(('', ':', '::0', f':{more()}'))}]"
        case 10:
            return f"({more()} if {more()} else {more()})"
        case _:
            return dice.choice(("[{}]", "({})", "{{'a': {}}}", "-{}", "not {}", "({},)", "{} {}")).replace("{}", more())


def template(dice):
    """A text with an expression in it."""
    return dice.choice(FORMS).replace("EXPRESSION", expression(dice))


def _arguments(dice, more):
    return ", ".join(
        f"{dice.choice(('', '', '', 'a=', '*', '**'))}{more()}" for _ in range(dice.choice((0, 1, 1, 2, 3)))
    )


def playbook(dice):
    """A right one, but for one place or two, which hold something made up."""
    step = {"id": "one", "task": "command", "hosts": "web", "with": {"run": "true"}}
    rest = {"id": "two", "task": "copy", "hosts": "web", "with": {"src": "play.toml", "dest": "/tmp/x"}}
    within = {"id": "three", "include": "part.toml"}
    for _ in range(dice.choice((1, 1, 2))):
        match dice.randrange(12):
            case 0 | 1:
                step["with"] = {"run": template(dice)}
            case 2:
                step["with"]["env"] = {"A": template(dice)}
            case 3:
                step["when"] = expression(dice)
            case 4:
                rest["foreach"] = template(dice)
            case 5:
                rest["with"]["src"] = dice.choice((dice.choice(PATHS), template(dice)))
            case 6:
                within["id"] = dice.choice(IDS)
            case 7:
                within["include"] = dice.choice(PATHS)
            case 8:
                within["vars"] = {dice.choice(IDS): template(dice)}
            case 9:
                within["when"] = expression(dice)
            case 10:
                step["id"] = dice.choice(IDS)
            case _:
                step["hosts"] = dice.choice(PATTERNS)
    head = f"[vars]\nx = {json.dumps(template(dice))}\n" if dice.random() < 0.3 else ""
    return head + "".join(f"[[step]]\n{_table(one)}" for one in dice.sample((step, rest, within), dice.randrange(1, 4)))


def _table(content):
    return "".join(f"{key} = {_value(value)}\n" for key, value in content.items())


def _value(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


@pytest.mark.parametrize("part", range(10))
def test_whatever_a_template_a_path_or_an_id_is_what_is_wrong_is_told(part, judge, tmp_path):
    (tmp_path / "part.toml").write_text(
        '[[step]]\nid = "one"\ntask = "command"\nhosts = "web"\nwith = { run = "{{ x | default(1) }}" }\n'
    )
    judged, right = judge(INVENTORY), 0
    for number in range(part, TRIES, 10):
        dice = random.Random(number)
        text = playbook(dice)
        given = f"{dice.choice(('x', 'one', '', 'x.y', 'é'))}={dice.choice((template(dice), dice.choice(LITERALS)))}"
        right += judged(text, (given,) if dice.random() < 0.3 else ())
    assert 0 < right < TRIES / 20
