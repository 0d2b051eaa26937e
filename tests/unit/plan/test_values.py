"""Variables of nodes, and the values by which nodes belong together."""

import pytest

from opsflow.errors import TemplateError
from opsflow.model import Connection, Host, Playbook, Step
from opsflow.plan import Node, node_variables, values_of
from opsflow.playbook import TemplateRenderer

RENDERER = TemplateRenderer(directory=".", hosts=lambda _: [])


NODE = Node(id="s@h", step="s", host="h")


def step(**variables):
    return Step(id="s", task="t", hosts="all", vars=variables)


def host(**variables):
    return Host(name="h", connection=Connection(), vars=variables)


def test_variables_weakest_first():
    names = ["inputs", "host", "playbook", "step", "extra"]
    # Each level says the name of every later level too: the later one must win.
    levels = {name: dict.fromkeys(names[i:], name) for i, name in enumerate(names)}
    found = node_variables(
        Playbook(name="p", steps=(), vars=levels["playbook"]), step(**levels["step"]), host(**levels["host"]),
        inputs=levels["inputs"], extra=levels["extra"],
    )  # fmt: skip
    assert found == {name: name for name in names}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", ('"a"',)),
        (1, ("1",)),
        (True, ("true",)),
        (1.5, ("1.5",)),
        (["a", 1], ('"a"', "1")),
        ([], ()),
        ("{{ other }}", ('"o"',)),
        ("{{ [other, 2] }}", ('"o"', "2")),
        ("x-{{ host }}", ('"x-h"',)),
    ],
)
def test_values(value, expected):
    assert values_of(step(), NODE, host(v=value, other="o"), "v", RENDERER) == expected


def test_step_variables_come_first_and_missing_is_none():
    assert values_of(step(v="s"), NODE, host(v="h"), "v", RENDERER) == ('"s"',)
    assert values_of(step(), NODE, host(), "v", RENDERER) is None


@pytest.mark.parametrize("value", [None, {"a": 1}, [[1]], [None], "{{ nothing }}"])
def test_what_cannot_be_a_value(value):
    with pytest.raises(TemplateError):
        values_of(step(), NODE, host(v=value), "v", RENDERER)
