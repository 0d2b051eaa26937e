import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opsflow.errors import InputError, TemplateError
from opsflow.playbook import TemplateRenderer, sandbox
from opsflow.ports import Renderer

VARIABLES = {
    "release": "2.10",
    "n": 3,
    "names": ["a", "b"],
    "artifact": "dist/game-{{ release }}.tar.gz",
    "twice": "{{ artifact }}",
    "alias": "{{ n }}",
    "db": {"name": "game_{{ n }}", "broken": "{{ nowhere }}", "plain": [1, "{{ n }}"]},
    "a": "{{ b }}",
    "b": "x{{ a }}",
    "itself": "{{ itself }}",
    "password": "{{ secret('env:PW') }}",
    "account": {"user": "u", "password": "{{ secret('env:PW') }}"},
    "stored": {"$secret": "env:PW"},
    "said": "{{ outputs.look.stdout }}",
    "host": "a variable",
    "unused": "{{ 1 / 0 }}",
}
FACTS = {
    "host": "db-1",
    "now": "2026-01-01T00:00:00Z",
    "outputs": {"look": {"stdout": "{{ release }}{% if %}", "items": 4, "by-name": {"x": 1}}},
    "steps": {"look": {"state": "succeeded", "changed": True}},
}


def select(pattern):
    if pattern == "wrong":
        raise InputError("there is no group `wrong`")
    return ["db-1", "db-2"]


@pytest.fixture
def renderer(tmp_path) -> Renderer:
    return TemplateRenderer(directory=str(tmp_path), hosts=select)


@pytest.fixture
def render(renderer):
    return lambda value: renderer.render(value, VARIABLES, FACTS)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("${#x} {# kept #} } }}", "${#x} {# kept #} } }}"),
        ("{{ n }}", 3),
        ("{{n}}", 3),
        ("{{- n -}}", 3),
        (" {{ n }}", " 3"),
        ("{{ n }}\n", "3\n"),
        ("{{ n }}{{ n }}", "33"),
        ("{{ names }}", ["a", "b"]),
        ("{{ n == 3 }}", True),
        ("{{ none }}", None),
        ("{{ n / 2 }}", 1.5),
        ("{{ '}}' }}", "}}"),
        ("{{ '{{ n }}' }}", "{{ n }}"),
        ("{{ 1, 2 }}", [1, 2]),
        ("{{ names | map('upper') }}", ["A", "B"]),
        ("{{ range(2) }}", [0, 1]),
        ("{{ '<é' | tojson }}", '"<é"'),
        ("rm {{ \"it's\" | quote }} {{ ['a b', 1] | quote }}", """rm 'it'"'"'s' 'a b' 1"""),
        ("{{ '/srv/a/b.tar' | basename }} {{ '/srv/a/b.tar' | dirname }} {{ 'b' | dirname }}", "b.tar /srv/a ."),
        ("{% if n == 3 %}yes{% endif %}", "yes"),
        ("{% for x in names %}{{ x }}{{ loop.index }}{% endfor %}", "a1b2"),
        ("{% set y = n + 1 %}{{ y }}", "4"),
    ],
)
def test_exactly_one_expression_keeps_its_type_and_anything_else_is_text(render, template, value):
    assert render(template) == value
    assert type(render(template)) is type(value)


def test_the_documentation_names_all_that_templates_have(renderer):
    text = Path(__file__).parents[3].joinpath("docs/playbook.md").read_text(encoding="utf-8")
    said = {
        kind: re.findall(r"`([^`(]+)(?:\([^`]*)?`", re.search(rf"^\| {kind} \| (.*) \|$", text, re.MULTILINE)[1])
        for kind in ("functions", "filters", "tests")
    }
    assert {kind: sorted(names) for kind, names in said.items()} == {
        "functions": sorted([*sandbox.FUNCTIONS, "secret"]), "filters": sorted(sandbox.FILTERS), "tests": sorted(sandbox.TESTS),
    }  # fmt: skip
    has = sandbox.Sandbox(directory=".", hosts=list)
    assert set(has.filters) == set(sandbox.FILTERS)
    assert set(has.tests) == set(sandbox.TESTS)
    assert set(has.globals) == set(sandbox.FUNCTIONS)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ n | uper }}", "there is no filter 'uper'; did you mean `upper`?"),
        ("{{ n | zz }}", "there is no filter 'zz'; there are: abs, basename, batch"),
        ("{{ n is defned }}", "there is no test 'defned'; did you mean `defined`?"),
        ("{{ names | random }}", "there is no filter 'random'"),
        ("{{ lipsum() }}", "'lipsum' is not defined"),
    ],
)
def test_what_templates_do_not_have_is_told_with_what_they_have(render, template, told):
    with pytest.raises(TemplateError) as caught:
        render(template)
    assert told in caught.value.message


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'x' * 10 ** 12 }}", "{{ 10 ** 9 * names }}", "{{ 10 ** (10 ** 10) }}", "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (10 ** 9, 1) }}", "{{ '%999999999d' | format(1) }}", "{{ '{:>999999999}'.format(1) }}",
        "{{ 'x'.ljust(10 ** 9) }}", "{{ 'x' | indent(10 ** 9, true) }}", "{{ large }}", "{{ large ~ 'x' }}",
        "{% for i in range(99) %}{{ 'x' * 999999 }}{% endfor %}",
    ],
)  # fmt: skip
def test_what_would_be_too_large_is_refused_before_it_is_made(renderer, template):
    variables = {"names": ["a"], "large": "{{ half ~ half }}", "half": "{{ 'x' * 9999999 }}"}
    with pytest.raises(TemplateError, match="more than 16,777,216 characters"):
        renderer.render(template, variables, {})


@pytest.mark.parametrize("template", ["{{ 1 % 3 }}", "{{ 'tel. 1234567: %3d' % 5 }}", "{{ '{:*>4}'.format(1) }}"])
def test_what_only_looks_large_is_not(render, template):
    assert len(str(render(template))) < 30


def test_a_loop_in_a_loop_comes_to_an_end(renderer):
    with pytest.raises(TemplateError, match="more than 1,000,000 numbers of `range`"):
        renderer.render("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", {}, {})


@pytest.mark.parametrize("text", ["2.10", "0123", "true", "[1]", "1e3", "None", "{'a': 1}"])
def test_text_is_never_parsed(renderer, text):
    assert renderer.render(["{{ x }}", "{{ y }}", text], {"x": text, "y": "{{ x }}"}, {}) == [text, text, text]


def test_values_are_rendered_at_any_depth_and_keys_are_not(render):
    assert render({"{{ n }}": [{"k": "{{ n }}"}, ("{{ release }}",)], "f": 1.5}) == {
        "{{ n }}": [{"k": 3}, ["2.10"]],
        "f": 1.5,
    }


def test_variables_may_be_templates_of_variables(render):
    assert render("{{ twice }}") == "dist/game-2.10.tar.gz"
    assert render("{{ alias }}") == 3
    assert render("{{ db.name }} {{ db['plain'][1] }}") == "game_3 3"


def test_a_variable_that_is_not_used_may_be_broken(render):
    assert render("{{ n }}") == 3
    assert render("{{ db.plain }}") == [1, 3]
    assert render("{{ unused if false else n }}") == 3
    assert render("{{ a if false else n }}") == 3
    assert render("{{ nowhere | default('d') }}") == "d"
    assert render("{{ nowhere is defined }}") is False


@pytest.mark.parametrize(
    ("template", "circle"), [("{{ a }}", "a → b → a"), ("{{ b }}", "b → a → b"), ("{{ itself }}", "itself → itself")]
)
def test_a_variable_that_refers_to_itself_is_told_with_the_circle(render, template, circle):
    with pytest.raises(TemplateError, match=f"refers to itself: {circle}"):
        render(template)


def test_data_from_hosts_is_never_a_template(render):
    text = FACTS["outputs"]["look"]["stdout"]
    assert render("{{ outputs.look.stdout }}") == text
    assert render("{{ said }}") == text
    assert render("<{{ said }}>") == f"<{text}>"
    assert render({"all": "{{ outputs.look }}"})["all"]["stdout"] == text
    assert render("{% set x = said %}{{ x }}") == text


def test_facts_win_over_variables(render):
    assert render("{{ host }}") == "db-1"


def test_the_keys_of_data_win_over_the_methods_of_its_type(render):
    assert render("{{ outputs.look.items }}") == 4
    assert render("{{ account.items() | length }}") == 2


@pytest.mark.parametrize(
    "template", ["{{ secret('env:PW') }}", "{{ password }}", "{{ stored }}", "{{ account.password }}"]
)
def test_a_secret_becomes_a_reference(render, template):
    assert render(template) == {"$secret": "env:PW"}


def test_a_secret_may_be_part_of_a_table_or_list(render):
    assert render("{{ account }}") == {"user": "u", "password": {"$secret": "env:PW"}}
    assert render("{{ [password] }}") == [{"$secret": "env:PW"}]


@pytest.mark.parametrize(
    "template",
    [
        "x{{ password }}",
        "{{ password }}\n",
        "{{ stored ~ 'x' }}",
        "{{ 'x%s' % password }}",
        "{{ 'x{}'.format(password) }}",
        "{{ [password] | join(',') }}",
        "{{ account | string }}",
        "{{ password | tojson }}",
        "user={{ account }}",
    ],
)
def test_a_secret_cannot_be_part_of_a_text(render, template):
    with pytest.raises(TemplateError, match=r"secret cannot be part of a text|SecretReference is not JSON"):
        render(template)


@pytest.mark.parametrize("name", ["'PW'", "3", "n"])
def test_a_secret_without_a_scheme_is_refused(render, name):
    with pytest.raises(TemplateError, match="env:NAME"):
        render(f"{{{{ secret({name}) }}}}")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ relese }}", "`{{ relese }}`: 'relese' is not defined; did you mean `release`?"),
        ("x {{ zzz }}", "`x {{ zzz }}`: 'zzz' is not defined"),
        ("{{ [zzz] }}", "'zzz' is not defined"),
        ("{{ db.nme }}", "`{{ db.nme }}`: there is no 'nme'; did you mean `name`?"),
        ("{{ outputs.lok.stdout }}", "there is no 'lok'; did you mean `look`?"),
        ("{{ db.broken }}", "variable `db`: `{{ nowhere }}`: 'nowhere' is not defined"),
        ("{{ db }}", "variable `db`: `{{ nowhere }}`: 'nowhere' is not defined"),
        ("{{ n / 0 }}", "`{{ n / 0 }}`: ZeroDivisionError"),
        ("{{ n + 'a' }}", "TypeError"),
        ("{{ n.x }}", "has no attribute 'x'"),
        ("{{ n", "`{{ n`: unexpected end of template"),
        ("{{ n | nope }}", "there is no filter 'nope'"),
        ("{{ n is nope }}", "there is no test 'nope'"),
        ("{% include 'x' %}", "no loader"),
        ("{{ hosts }}", "which is no data"),
        ("{{ hosts('wrong') }}", "there is no group `wrong`"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ ''.__class__ or 1 }}", "unsafe"),
        ("{{ 1e999 }}", "a number is too large"),
        ("{{ [1, {'a': 1e999 - 1e999}] }}", "a number is too large"),
        ("{{ 1e308 * 10 }}", "yields inf, which is no data"),
        ("{{ names[0] | truncate(0) }}", "expected length >= 3"),
        ("{{ names.append('c') }}", "names.append"),
        ("{{ hosts(5) }}", "hosts() takes a pattern"),
        ("{{ file(5) }}", "file() takes a path"),
        ("{{ '\\ud800' }}", "half of a character"),
        ("x{{ '\\udfff' }}", "half of a character"),
        ("{{ lipsum() }}", "'lipsum' is not defined"),
        ("{{ outputs }}", "write a step's id after `outputs`"),
        ("{{ outputs[n] }}", "write a step's id after `outputs`"),
        ("{{ " + "(" * 3000 + " }}", "nested too deeply"),
        ("{{ " + "9" * 5000 + " }}", "Exceeds the limit"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_told_with_its_expression(render, template, message):
    with pytest.raises(TemplateError) as caught:
        render({"deep": [template]})
    assert message in str(caught.value)


def test_hosts_gives_the_names_of_a_pattern(render):
    assert render("{{ hosts('db') }}") == ["db-1", "db-2"]
    assert render("{{ hosts('db') | join(' ') }}") == "db-1 db-2"


def test_file_gives_the_text_of_a_file_of_the_project_unrendered(render, tmp_path):
    (tmp_path / "motd").write_text("{{ n }}\nä")
    assert render("{{ file('motd') }}") == "{{ n }}\nä"
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(TemplateError, match="No such file"):
        render("{{ file('nope') }}")
    with pytest.raises(TemplateError, match="not UTF-8"):
        render("{{ file('bytes') }}")


@pytest.mark.parametrize(
    ("expression", "result"),
    [("n > 2", True), ("steps.look.changed and host == 'db-1'", True), ("'x' in names", False), ("alias == 3", True)],
)
def test_a_condition_yields_its_boolean(renderer, expression, result):
    assert renderer.condition(expression, VARIABLES, FACTS) is result


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("n", "`n` yields 3: a condition must be true or false"),
        ("''", "must be true or false"),
        ("zzz", "'zzz' is not defined"),
        ("n >", "unexpected"),
        ("n 3", "does not belong there"),
        ("''.__class__ or true", "unsafe"),
        ("n < 1e999", "a number is too large"),
        ("{{ n }}", "`{{ n }}`"),
        ("", "end of template"),
        ("true }} {{ true", "does not belong there"),
    ],
)
def test_a_condition_that_is_none_is_refused(renderer, expression, message):
    with pytest.raises(TemplateError) as caught:
        renderer.condition(expression, VARIABLES, FACTS)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        ("outputs.a.b", set()),
        ("{{ outputs.a.b }}", {"a"}),
        ("{{ outputs['a-b.c'].d }}", {"a-b.c"}),
        ("{{ steps.a.changed and outputs.b.x }}", {"a", "b"}),
        ({"k": ["{{ outputs.a.by_host['h'].x }}", {"l": "{% if steps.c.changed %}x{% endif %}"}]}, {"a", "c"}),
        ("{{ said }}", {"look"}),
        ("{{ indirect }}", {"look", "other"}),
        ("{{ looping }}", {"x"}),
        ("{{ nowhere }}", set()),
        (3, set()),
    ],
)
def test_references_are_found_through_variables(renderer, value, steps):
    variables = VARIABLES | {
        "indirect": {"p": ["{{ said }}", "{{ outputs.other.x }}"]},
        "looping": "{{ looping2 }}",
        "looping2": "{{ looping }}{{ outputs.x.y }}",
    }
    assert renderer.references(value, variables).keys() == steps


def test_references_of_a_condition_are_found_through_variables(renderer):
    assert renderer.expression_references("steps.a.changed and said", VARIABLES).keys() == {"a", "look"}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("{{ outputs.a.b }}", {("outputs", "b")}),
        ("{{ outputs.a }} {{ steps['a']['state'] }}", {("outputs",), ("steps", "state")}),
        ("{{ outputs.a.b[0].c }}", {("outputs", "b", 0, "c")}),
        ("{{ outputs.a.by_host[outputs.a.h.strip()].b }}", {("outputs", "by_host", None, "b"), ("outputs", "h")}),
        ("{{ outputs.a.items() }}", {("outputs",)}),
        ("{{ outputs.a.b | default(outputs.a.c) }}", {("outputs", "b"), ("outputs", "c")}),
        ("{% for x in outputs.a.list %}{{ x.y }}{% endfor %}", {("outputs", "list")}),
        ("{{ f(outputs.a.b.lower(outputs.a.c)) }}", {("outputs", "b"), ("outputs", "c")}),
    ],
)
def test_what_is_read_of_a_step_is_found(renderer, value, read):
    assert renderer.references(value, {})["a"] == read


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("{{ q1 }} {{ n }} {{ hosts(q2) }}", {"q1", "q2"}),
        ("{{ indirect }}", {"q3"}),
        ("{{ q1 | default(q2) }} {% if q3 is defined %}{{ q3 }}{% endif %}", {"q2"}),
        ("{% for q1 in range(3) %}{{ q1 }}{{ q2 }}{% endfor %}", {"q2"}),
        (["{{ item }}", {"k": "{{ outputs.a.b }}{{ now }}"}], {"item", "outputs", "now"}),
        ("a", set()),
    ],
)
def test_names_that_nothing_gives_are_found_through_variables(renderer, value, names):
    assert renderer.free_names(value, VARIABLES | {"indirect": "{{ q3 }}"}) == names


@pytest.mark.parametrize("value", ["{{ outputs[x] }}", "{{ steps }}", "{{ outputs | length }}", "{{ x", "{{ y }}"])
def test_references_that_cannot_be_known_are_refused(renderer, value):
    with pytest.raises(TemplateError):
        renderer.references(value, {"y": "{{ x"})


def test_one_renderer_serves_many_threads(renderer):
    template = {"x": "{{ v }}-{{ db.name }}", "y": "{{ v }}"}

    def job(i):
        return renderer.render(template, {"v": i, "db": {"name": "d{{ v }}"}}, {})

    with ThreadPoolExecutor(8) as pool:
        for i, rendered in enumerate(pool.map(job, range(500))):
            assert rendered == {"x": f"{i}-d{i}", "y": i}
