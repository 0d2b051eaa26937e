import pytest

from opsflow.errors import TemplateError
from opsflow.playbook import TemplateRenderer

VARIABLES = {
    "port": 7000,
    "shards": ["a", "b"],
    "address": "{{ host }}:{{ port }}",
    "password": "{{ secret('env:PW') }}",
    "account": {"password": {"$secret": "env:PW"}},
    "broken": "{{ nowhere }}",
}
FACTS = {"host": "game-1", "said": "{{ port }}"}


@pytest.fixture
def document(tmp_path):
    renderer = TemplateRenderer(directory=str(tmp_path), hosts=lambda _: ["game-1"])

    def render(text, variables=VARIABLES):
        return renderer.document(text, "game.conf", variables, FACTS, secret=lambda name: f"value of {name}")

    return render


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", ""),
        ("no newline", "no newline"),
        ("a\r\n\n", "a\n\n"),
        ("{{ port }}", "7000"),
        ("listen {{ address }}\n", "listen game-1:7000\n"),
        ("{# a comment #}\nx\n", "x\n"),
        ("{% for s in shards %}\n  {{ s }}\n{% endfor %}\nend\n", "  a\n  b\nend\n"),
        ("a\n    {% if port == 1 %}\nb\n    {% endif %}\nc\n", "a\nc\n"),
        ("{{ said }}", "{{ port }}"),
    ],
)
def test_it_is_rendered_as_a_file(document, text, rendered):
    assert document(text) == rendered


@pytest.mark.parametrize("text", ["{{ secret('env:PW') }}", "{{ password }}", "{{ account.password }}"])
def test_secrets_become_their_values_also_through_variables(document, text):
    assert document(f"pw={text};") == "pw=value of env:PW;"


def test_a_variable_of_the_function_s_name_comes_before_it(document):
    assert document("{{ secret }}", {"secret": "mine"}) == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{{ prt }}", "game.conf:2: 'prt' is not defined; did you mean `port`?"),
        ("a\n\n{% if %}", "game.conf:3: Expected an expression"),
        ("a\n{% for s in shards %}\n{{ s.x.y }}\n{% endfor %}", "game.conf:3: "),
        ("{{ port / 0 }}", "game.conf:1: ZeroDivisionError: "),
        ("x\n{{ broken }}", "game.conf:2: variable `broken`: "),
        ("{% include 'other' %}", "game.conf:1: "),
        ("{{ ''.__class__ }}", "game.conf:1: "),
        ("{{ ''.__class__ or 1 }}", "game.conf:1: access to attribute '__class__'"),
        ("a\n{% if port < 1e999 %}\n{% endif %}", "game.conf:2: a number is too large"),
        ("{{ '\\ud800' }}", "game.conf:1: yields half of a character"),
        ("{{ said | truncate(0) }}", "game.conf:1: AssertionError: "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(document, text, said):
    with pytest.raises(TemplateError) as error:
        document(text)
    assert error.value.message.startswith(said)
