import os

import pytest

from opsflow import TaskFailed
from opsflow.errors import TemplateError
from opsflow.model import Action
from opsflow.testing import make_context
from opsflow_tasks import template

TEXT = """\
# {{ host }}
port = {{ port }}
{% for shard in shards %}
[{{ shard }}]
{% endfor %}
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "project/game.conf.j2"
    path.parent.mkdir(exist_ok=True)
    path.write_text(TEXT)
    return path


@pytest.fixture
def put(drive, home):
    """`put(...)`: the task for `~/game.conf`, on a host with a few variables."""

    def make(**params):
        task = drive(template, **{"src": "game.conf.j2", "dest": "game.conf", **params})
        variables = {"port": 7000, "shards": ["a", "b"], "pw": "{{ secret('env:PW') }}"}
        task.secrets["env:PW"] = "very-secret"

        def context(phase):
            return make_context(
                task.transport, directory=task.directory, phase=phase, secrets=task.secrets, variables=variables
            )

        task._context = context
        return task

    return make


def test_it_is_rendered_with_the_variables_of_the_host(put, source, home):
    task = put()
    preview = task.plan()
    text = "# localhost\nport = 7000\n[a]\n[b]\n"
    assert "".join(line[1:] + "\n" for line in preview.diff.splitlines()[4:]) == text
    outputs = task.execute(preview)
    assert (home / "game.conf").read_text() == text
    again = task.plan()
    assert (again.action, again.outputs) == (Action.UNCHANGED, outputs)
    task.revert(preview, outputs)
    assert not list(home.glob("*game*"))


def test_vars_come_before_variables_and_are_never_templates(put, source, home):
    put(vars={"port": "{{ shards }}"}).apply()
    assert "port = {{ shards }}\n" in (home / "game.conf").read_text()


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("{{ secret('env:PW') }}", {}),
        ("{{ pw }}", {}),
        ("{{ db.password }}", {"vars": {"db": {"password": {"$secret": "env:PW"}}}}),
    ],
)
def test_secrets_reach_the_file_and_are_not_shown(put, source, home, text, given):
    source.write_text(f"password = {text}\n")
    (home / "game.conf").write_text("password = an older one\n")
    task = put(**given)
    preview = task.plan()
    assert preview.diff == " (what it holds is not shown)\n"
    assert "very-secret" not in str(preview)
    task.execute(preview)
    assert (home / "game.conf").read_text() == "password = very-secret\n"


def test_what_was_there_comes_back(put, source, home):
    (home / "game.conf").write_text("old")
    os.utime(home / "game.conf", (1, 1))
    task = put()
    preview = task.plan()
    task.execute(preview)
    task.revert(preview)
    assert ((home / "game.conf").read_text(), (home / "game.conf").stat().st_mtime) == ("old", 1)


def test_an_error_names_the_file_and_its_line(put, source):
    source.write_text("a\n{{ prot }}\n")
    with pytest.raises(TemplateError, match=r"^game\.conf\.j2:2: 'prot' is not defined; did you mean `port`\?$"):
        put().plan()


def test_a_source_that_is_missing_or_no_text_fails_in_the_plan(put, source):
    source.write_bytes(b"\xff")
    assert put().plan().why.endswith("game.conf.j2 is not UTF-8")
    source.unlink()
    assert "No such file" in put().plan().why


def test_a_template_that_changed_after_the_plan_is_refused(put, source):
    task = put()
    preview = task.plan()
    source.write_text("other")
    with pytest.raises(TaskFailed, match="has changed since this attempt was planned"):
        task.execute(preview)


def test_every_parameter_is_described():
    properties = template.params().model_json_schema()["properties"]
    assert all(field.get("description") for field in properties.values())
