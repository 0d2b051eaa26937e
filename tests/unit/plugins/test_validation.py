from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from opsflow import LocalPath, Secret
from opsflow.plugins.validation import NoParams, dotted, faults, validate


class Health(BaseModel):
    model_config = ConfigDict(extra="allow")
    port: int | None = None


class Params(BaseModel):
    service: str
    engine: Literal["mysql", "sqlite"] = "mysql"
    health: Health = Health()
    checks: list[Health] = []
    limit: int | list[int] = 1
    words: list[str] = []
    sizes: dict[str, int] = {}
    password: Secret | None = None
    source: LocalPath = LocalPath("x")
    from_: str = Field("", alias="from")

    @field_validator("service")
    @classmethod
    def _plain(cls, value):
        if "/" in value:
            raise ValueError("must not hold a slash")
        return value

    @model_validator(mode="after")
    def _whole(self):
        if self.engine == "sqlite" and self.service == "db":
            raise ValueError("sqlite has no service")
        return self


@pytest.mark.parametrize(
    ("params", "path", "message"),
    [
        ({}, (), "`service` is required"),
        ({"service": "a", "enigne": 1}, ("enigne",), "unknown key `enigne`; did you mean `engine`?"),
        ({"service": "a", "zzz": 1}, ("zzz",), "unknown key `zzz`; there are: service, engine, health"),
        ({"service": "a", "form": "x"}, ("form",), "unknown key `form`; did you mean `from`?"),
        ({"service": "a", "health": {"prot": 1}}, ("health", "prot"), "unknown key `prot`"),
        ({"service": "a", "checks": [{}, {"port": "x"}]}, ("checks", 1, "port"), "`checks[1].port` should be a valid"),
        ({"service": "a", "limit": "x"}, ("limit",), "`limit` should be a valid integer, unable to parse string"),
        ({"service": "a", "engine": "pg"}, ("engine",), "`engine` should be 'mysql' or 'sqlite'"),
        ({"service": "a/b"}, ("service",), "`service`: must not hold a slash"),
        ({"service": "db", "engine": "sqlite"}, (), "sqlite has no service"),
        (
            {"service": "a", "source": "~nobody-has-this-name/x"},
            ("source",),
            "`source`: there is no user `nobody-has-this-name`",
        ),
        ({"service": "a", "source": "a\0b"}, ("source",), "`source` must be text without NUL characters"),
        ({"service": "a", "words": ["a", "b\0"]}, ("words", 1), "`words[1]` must be text without NUL characters"),
        ({"service": "a", "sizes": {"a\0": 1}}, ("sizes",), "`sizes` must be text without NUL characters"),
        ({"service": "a", "password": "hunter2"}, ("password",), "`password` must be a reference: "),
    ],
)
def test_what_is_wrong_is_said_at_its_path(params, path, message):
    ((found, said),) = faults(Params, params)
    assert found == path
    assert said.startswith(message)
    assert "hunter2" not in said


def test_nul_characters_hide_nothing_else_and_are_content_where_a_field_says_so():
    class Task(BaseModel):
        run: str
        input: str | None = Field(None, json_schema_extra={"contentMediaType": "application/octet-stream"})

    assert faults(Task, {"run": "true", "input": "a\0b"}) == []
    assert [path for path, _ in faults(Task, {"run": "a\0", "nui": "a\0"})] == [("run",), ("nui",)]
    assert "NUL" not in faults(Task, {"run": "a", "nui": "a\0"})[0][1]
    with pytest.raises(ValidationError):
        validate(Task, {"run": "a\0"})


def test_both_sides_of_a_union_are_told_of_one_value():
    ((_, said),) = faults(Params, {"service": "a", "limit": "x"})
    assert said.endswith(" or must be a list")
    assert said.count("`limit`") == 1


def test_right_parameters_have_no_faults():
    assert faults(Params, {"service": "a", "from": "b", "health": {"port": 1}}) == []


def test_values_of_ignored_keys_are_not_judged_but_their_names_are():
    assert faults(Params, {"service": "{{ x }}", "engine": "{{ y }}"}, ignore=["service", "engine"]) == []
    assert faults(Params, {"servcie": "{{ x }}", "engine": 1}, ignore=["servcie"])[0] == (
        ("servcie",),
        "unknown key `servcie`; did you mean `service`?",
    )


def test_with_an_ignored_key_the_whole_is_not_judged():
    assert faults(Params, {"service": "db", "engine": "sqlite"}, ignore=["service"]) == []


def test_other_keys_are_judged_beside_an_ignored_one():
    ((path, _),) = faults(Params, {"service": "{{ x }}", "engine": "pg"}, ignore=["service"])
    assert path == ("engine",)


def test_a_task_without_parameters_takes_no_keys():
    assert faults(NoParams, {}) == []
    assert faults(NoParams, {"a": 1}) == [(("a",), "unknown key `a`: the task takes no parameters")]
    assert faults(NoParams, {"a": 1}, ignore=["a"]) == [(("a",), "unknown key `a`: the task takes no parameters")]


def test_local_paths_begin_in_the_directory():
    params = {"service": "a", "source": "b/c"}
    assert validate(Params, params, "/srv").source == "/srv/b/c"
    assert validate(Params, params).source == "b/c"


def test_paths_are_written_like_toml():
    assert dotted(("a", 0, "b", 1)) == "a[0].b[1]"
