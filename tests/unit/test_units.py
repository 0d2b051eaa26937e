from typing import Annotated

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from opsflow import Duration, Size
from opsflow.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("10m", 600), ("2h", 7200), ("1.5s", 1.5), ("1h30m", 5400), ("1d", 86400), ("0s", 0)],
)
def test_a_duration_with_its_unit_becomes_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("number", [0, 3, 2.5])
def test_a_number_is_a_duration_in_seconds(number):
    assert parse_duration(number) == number


@pytest.mark.parametrize(
    "wrong",
    ["", "30", "s", "3 s", "-3s", "3x", "1h 3m", "٣s", True, None, -1, float("nan"), float("inf"), "9" * 400 + "s"],
)
def test_anything_else_is_not_a_duration(wrong):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(wrong)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("1kB", 1000), ("10MB", 10_000_000), ("64MiB", 64 * 2**20), ("1.5 GiB", 3 * 2**29), (7, 7)],
)
def test_a_size_with_its_unit_becomes_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("wrong", ["", "64", "MiB", "1iB", "1mB", "-1B", False, None, -1, "9" * 400 + "B"])
def test_anything_else_is_not_a_size(wrong):
    with pytest.raises(ValueError, match="not a size"):
        parse_size(wrong)


class Params(BaseModel):
    wait: Annotated[Duration, Field(gt=0)] = 30.0
    limit: Size = 0


def test_task_parameters_take_durations_and_sizes_and_their_own_output():
    params = Params.model_validate({"wait": "2m", "limit": "1KiB"})
    assert (params.wait, params.limit) == (120.0, 1024)
    assert Params.model_validate(params.model_dump()) == params


def test_a_constraint_on_a_duration_applies_to_its_seconds():
    with pytest.raises(ValidationError, match="greater than 0"):
        Params.model_validate({"wait": "0s"})


def test_the_json_schema_says_how_a_duration_is_written():
    schema = TypeAdapter(Duration).json_schema()
    assert schema["type"] == ["string", "number"]
    assert all(parse_duration(example) > 0 for example in schema["examples"])
