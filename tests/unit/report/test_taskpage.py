from types import SimpleNamespace
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from opsflow.params import LocalPath, Secret
from opsflow.report.taskpage import task_page
from opsflow.report.text import Paint
from opsflow.units import Duration, Size


class Inner(BaseModel):
    depth: int = Field(1, description="How deep.")
    more: "Inner | None" = Field(None, description="Once more.")


class Params(BaseModel):
    """What it is about.

    And more of it.
    """

    path: str = Field(description="Where. " + "word " * 30)
    source: LocalPath | None = None
    key: str | Secret = "x"
    kind: Literal["a", "b"] = "a"
    wait: Duration = 90.0
    most: Size = 3 * 1024**2
    names: list[str] = []
    ids: int | list[int] = 200
    really: bool = True
    table: dict[str, str] = {}
    inner: Inner | None = None


class Given(BaseModel):
    """What is there
    afterwards."""

    model_config = ConfigDict(extra="allow")

    path: str = Field(description="Where it is.")
    was: str | None = None


@pytest.fixture
def page():
    task = SimpleNamespace(
        name="t",
        doc="Do it.",
        schema=Params.model_json_schema,
        outputs=Given.model_json_schema,
        has_plan=True,
        reversible=False,
        idempotent=True,
        gate=False,
    )
    return task_page(task, Paint(colour=False))


def test_it_says_what_the_task_does_and_can(page):
    assert page[:5] == [
        "t  Do it.",
        "It shows beforehand what would change, cannot be rolled back, may be executed again.",
        "",
        "What it is about.",
        "",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "  path  text, required",
        "  source  path of the control machine",
        '  key  text or secret, default "x"',
        '  kind  "a" or "b", default "a"',
        '  wait  duration, default "90s"',
        '  most  size, default "3MiB"',
        "  names  list of text",
        "  ids  integer or list of integer, default 200",
        "  really  boolean, default true",
        "  table  table",
        "  inner  table",
        "  inner.depth  integer, default 1",
    ],
)
def test_every_parameter_has_its_type_and_default(page, line):
    assert line in page


def test_it_ends_with_what_the_task_gives(page):
    assert page[page.index("Outputs  What is there afterwards.") - 1 :] == [
        "",
        "Outputs  What is there afterwards.",
        "",
        "  path  text",
        "      Where it is.",
        "",
        "  was  text, not always there",
        "",
        "  and others",
    ]


def test_long_descriptions_are_wrapped_and_tables_in_themselves_end(page):
    assert all(len(line) <= 100 for line in page)
    assert len(page) < 60
