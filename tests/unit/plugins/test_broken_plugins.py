import pytest

from opsflow.errors import InputError

GOOD = """
from opsflow import hookimpl

@hookimpl
def execute(ctx, params, preview):
    return None
"""

BROKEN = {
    "import_error": ("import os\nimport nothing_like_that\n", 2, "cannot be imported: ModuleNotFoundError: No module"),
    "raises_deep": ("import json\n\n\njson.loads('x')\n", 4, "cannot be imported: JSONDecodeError"),
    "exits": ("import sys\nsys.exit(3)\n", 2, "cannot be imported: SystemExit: 3"),
    "syntax": ("def execute(:\n    pass\n", 1, "cannot be imported: SyntaxError"),
    "not_python": ("\0", 1, "cannot be imported: "),
    "empty": ("", 1, "it has no hook: nothing in it is decorated"),
    "undecorated_execute": ("\ndef execute(ctx):\n    pass\n", 2, "`execute` is not decorated"),
    "undecorated_plan": (GOOD + "\ndef plan(ctx):\n    pass\n", 8, "`plan` is not decorated"),
    "undecorated_event": (GOOD + "\ndef opsflow_event(event):\n    pass\n", 8, "`opsflow_event` is not decorated"),
    "no_execute": (GOOD.replace("execute(ctx, params, preview)", "plan(ctx, params)"), 1, "it has no `execute` hook"),
    "wrong_argument": (GOOD.replace("preview", "previev"), 5, "has no argument `previev`; did you mean `preview`?"),
    "odd_argument": (GOOD.replace("preview", "zzz"), 5, "has no argument `zzz`; there are: ctx, params, preview"),
    "default": (GOOD.replace("preview", "preview=None"), 5, "argument `preview` must not have a default"),
    "star": (GOOD.replace("preview", "**rest"), 5, "must take plain arguments, not `**rest`"),
    "keyword_only": (GOOD.replace("preview", "*, preview"), 5, "must take plain arguments, not `preview`"),
    "generator": (GOOD.replace("return", "yield"), 5, "`execute` is a generator"),
    "asynchronous": (GOOD.replace("def", "async def"), 5, "`execute` is async"),
    "async_generator": (GOOD.replace("def", "async def").replace("return", "yield"), 5, "`execute` is async"),
    "typo": (GOOD + "\n@hookimpl\ndef rever(ctx):\n    pass\n", 9, "no hook `rever`; did you mean `revert`?"),
    "later": (GOOD + "\n@hookimpl\ndef opsflow_transport():\n    pass\n", 9, "not supported by this version"),
    "renamed": (GOOD + "\n@hookimpl(specname='revert')\ndef undo(ctx):\n    pass\n", 9, "`revert` must bear its name"),
    "own_wrapper": (
        GOOD + "\n@hookimpl(specname='revert', wrapper=True)\ndef around():\n    yield\n",
        9,
        "belongs into a plugin of its own",
    ),
    "no_yield": (GOOD.replace("hookimpl\ndef", "hookimpl(wrapper=True)\ndef"), 5, "does not `yield`"),
    "old_wrapper": (
        GOOD.replace("hookimpl\ndef", "hookimpl(hookwrapper=True)\ndef").replace("return", "yield"),
        5,
        "old-style wrappers are not supported",
    ),
    "wrapped_plan": (
        "from opsflow import hookimpl\n@hookimpl(wrapper=True)\ndef plan():\n    yield\n",
        3,
        "`plan` cannot be wrapped",
    ),
    "params_value": (GOOD + "\n@hookimpl\ndef params():\n    return dict\n", 9, "must return a pydantic model class"),
    "params_raise": (GOOD + "\n@hookimpl\ndef params():\n    return dict.x\n", 9, "`params` raised AttributeError"),
    "outputs_value": (GOOD + "\n@hookimpl\ndef outputs():\n    return {}\n", 9, "must return a pydantic model class"),
    "outputs_undecorated": (GOOD + "\ndef outputs():\n    return {}\n", 8, "`outputs` is not decorated"),
    "params_argument": (
        GOOD + "\n@hookimpl\ndef params(ctx):\n    return dict\n",
        9,
        "no argument `ctx`; there are: none",
    ),
    "gate": (GOOD + "\ngate = 'yes'\n", 1, "`gate` must be True or False"),
    "gate_that_asks_nothing": ("gate = True\n", 1, "it is a gate and has no `plan` hook"),
    "gate_that_does": (
        "gate = True\n" + GOOD.replace("execute(ctx, params, preview)", "plan(ctx, params)") + GOOD,
        12,
        "`execute`: a gate does nothing itself",
    ),
    "idempotent": (GOOD + "\nidempotent = 'yes'\n", 1, "`idempotent` must be True or False"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_with_file_and_line(load, plugin_dir, name):
    source, line, message = BROKEN[name]
    with pytest.raises(InputError) as caught:
        load(**{name: source})
    (problem,) = caught.value.problems
    assert message in problem.message
    assert f"plugin `{name}`" in problem.message
    assert (problem.position.file, problem.position.line) == (str(plugin_dir / f"{name}.py"), line)
    assert problem.line == "".join(source.splitlines()[line - 1 : line]) or name == "not_python"


def test_a_name_that_is_no_identifier_is_refused(load, plugin_dir):
    (plugin_dir / "my-task.py").write_text(GOOD)
    with pytest.raises(InputError, match=r"my-task\.py:1:1: plugin `my-task`: the name must be an identifier"):
        load()


def test_all_broken_plugins_are_reported_together(load):
    with pytest.raises(InputError) as caught:
        load(a=GOOD.replace("def", "async def"), b="import nothing_like_that", c=GOOD)
    assert [problem.position.file.rsplit("/")[-1] for problem in caught.value.problems] == ["a.py", "b.py"]


def test_a_plugin_with_an_optional_foreign_hook_is_fine(load):
    source = GOOD + "\n@hookimpl(optionalhook=True)\ndef of_a_later_version():\n    pass\n"
    assert load(future=source).names() == ("future",)


def test_hooks_may_be_imported_and_annotations_postponed(load):
    source = """
    from __future__ import annotations
    from pydantic import BaseModel
    from opsflow import hookimpl

    class Inner(BaseModel):
        n: int

    class Params(BaseModel):
        inner: Inner

    @hookimpl
    def params() -> type[BaseModel]:
        return Params

    @hookimpl
    def execute(params: Params) -> dict | None:
        return {"n": params.inner.n}
    """
    assert load(late=source).get("late").check({"inner": {"n": 1}}) == []
