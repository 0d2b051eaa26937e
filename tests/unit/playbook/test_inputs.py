import pytest

from opsflow.errors import InputError
from opsflow.playbook import extra_variables, input_values

STEP = '[[step]]\nid = "a"\ntask = "t"\nhosts = "h"\n'
INPUTS = """
[inputs]
release = { required = true, description = "Version to deploy." }
count = { type = "integer", default = 3 }
ratio = { type = "number" }
force = { type = "boolean", default = false }
names = { type = "list" }
sizes = { type = "table" }
"""


@pytest.fixture
def playbook(load_text):
    return load_text(INPUTS + STEP)


def test_extras_are_text_toml_values_and_files(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text('f = 1\nk = "from file"\n')
    assert extra_variables(["k=a=b", 'n:=[1, "x"]', "empty=", f"@{file}", "n:=2"]) == {
        "k": "from file",
        "n": 2,
        "empty": "",
        "f": 1,
    }


def test_text_is_never_parsed():
    assert extra_variables(["v=2.10", "b=true"]) == {"v": "2.10", "b": "true"}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("k", "not a variable"),
        ("=v", "not a variable"),
        (":=1", "not a variable"),
        ("k:=", "not a TOML value"),
        ("k:=text", "not a TOML value"),
        ("k:=1\nj = 2", "more than one value"),
        ("k:=nan", "not a usable number"),
        ("k:=1979-05-27", "date or time"),
        ("k:=" + "[" * 1000, "nested too deeply"),
        ("@/nope.toml", "no such file"),
        ("@~nobody-has-this-name/x", "no such file"),
    ],
)
def test_a_malformed_extra_is_refused(item, message):
    with pytest.raises(InputError, match=message):
        extra_variables([item])


def test_all_malformed_extras_are_told_at_once():
    with pytest.raises(InputError) as caught:
        extra_variables(["a", "b=1", "c:=x"])
    assert len(caught.value.problems) == 2


def test_a_file_of_extras_is_refused_with_the_place_of_its_fault(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text("a = 1\nb = nan\n")
    with pytest.raises(InputError) as caught:
        extra_variables([f"@{file}"])
    assert str(caught.value.problems[0].position) == f"{file}:2:1"


def test_defaults_fill_in_and_other_extras_pass_through(playbook):
    assert input_values(playbook, {"release": "2.10", "other": "7"}) == {
        "release": "2.10",
        "count": 3,
        "force": False,
        "other": "7",
    }


def test_text_becomes_the_type_of_its_input(playbook):
    values = input_values(playbook, {"release": "1", "count": "7", "ratio": "2.5", "force": "true"})
    assert values == {"release": "1", "count": 7, "ratio": 2.5, "force": True}


def test_values_of_the_right_type_are_taken_as_they_are(playbook):
    given = {"release": "1", "count": 7, "ratio": 2, "force": True, "names": ["a"], "sizes": {"a": 1}}
    assert input_values(playbook, given) == given


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("release", 2),
        ("release", True),
        ("count", "x"),
        ("count", 1.5),
        ("count", True),
        ("ratio", "nan"),
        ("ratio", "1e999"),
        ("force", "yes"),
        ("force", 1),
        ("names", "a,b"),
        ("sizes", ["a"]),
    ],
)
def test_a_value_of_another_type_is_refused_at_the_place_of_its_input(playbook, name, value):
    with pytest.raises(InputError) as caught:
        input_values(playbook, {"release": "1"} | {name: value})
    (problem,) = caught.value.problems
    spec = next(spec for spec in playbook.inputs if spec.name == name)
    assert problem.position == spec.source
    assert f"input `{name}`" in problem.message
    assert f"is not of type {spec.type}" in problem.message
    assert f"-e '{name}" in problem.hint


def test_a_required_input_that_is_missing_is_told_with_how_to_give_it(playbook):
    with pytest.raises(InputError) as caught:
        input_values(playbook, {})
    (problem,) = caught.value.problems
    assert (problem.position.line, problem.position.column) == (3, 1)
    assert problem.message == "input `release` is required"
    assert problem.hint == "give it with `-e 'release=TEXT'` (Version to deploy)"


def test_a_misspelt_input_is_recognised(playbook):
    with pytest.raises(InputError, match=r"you gave `relaese`: write `release`"):
        input_values(playbook, {"relaese": "1"})
