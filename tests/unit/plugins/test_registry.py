import hashlib
import threading

import pytest

from opsflow import Interrupted, Preview, TaskFailed
from opsflow.errors import InputError
from opsflow.events import RunStopping
from opsflow.model import Action
from opsflow.plugins.registry import load_tasks

TASK = '''
    """Says hello.

    More about it.
    """
    from pydantic import BaseModel
    from opsflow import Context, LocalPath, Preview, hookimpl

    class Params(BaseModel):
        greeting: str
        times: int = 1
        file: LocalPath = LocalPath("x")

    @hookimpl
    def params():
        return Params

    @hookimpl
    def plan(ctx: Context, params: Params) -> Preview:
        return Preview.change(params.greeting, before={"times": params.times})

    @hookimpl
    def execute(ctx, params, preview):
        return {"said": params.greeting * params.times, "file": params.file, "before": preview.before}

    @hookimpl
    def revert(ctx, params, preview, outputs):
        ctx.log(f"unsaid {outputs}")
'''
BARE = """
    from opsflow import hookimpl

    @hookimpl
    def execute():
        return None
"""


def test_a_file_becomes_a_task_named_by_its_stem(load, plugin_dir):
    registry = load(hello=TASK, bare=BARE, _shared="raise SystemExit")
    assert registry.names() == ("bare", "hello")
    hello = registry.get("hello")
    assert (hello.name, hello.doc, hello.source) == ("hello", "Says hello.", str(plugin_dir / "hello.py"))
    assert hello.digest == hashlib.sha256((plugin_dir / "hello.py").read_bytes()).hexdigest()
    assert (hello.has_plan, hello.reversible, hello.idempotent) == (True, True, False)
    bare = registry.get("bare")
    assert (bare.doc, bare.has_plan, bare.reversible) == ("", False, False)
    assert registry.get("nobody") is None


def test_hooks_get_the_validated_model(load, ctx, tmp_path):
    hello = load(hello=TASK).get("hello")
    params = {"greeting": "ho", "times": "2", "file": "a.txt"}
    preview = hello.plan(ctx, params)
    assert preview == Preview.change("ho", before={"times": 2})
    outputs = hello.execute(ctx, params, preview)
    assert outputs == {"said": "hoho", "file": str(tmp_path / "a.txt"), "before": {"times": 2}}
    assert type(outputs["file"]) is str


def test_revert_gets_the_outputs_or_none(load, ctx, capsys):
    hello = load(hello=TASK).get("hello")
    hello.revert(ctx, {"greeting": "ho"}, Preview.change(""), None)
    hello.revert(ctx, {"greeting": "ho"}, Preview.change(""), {"said": "ho"})
    assert capsys.readouterr().out == "unsaid None\nunsaid {'said': 'ho'}\n"


def test_two_tasks_do_not_call_each_other(load, ctx):
    registry = load(one=BARE.replace("None", "{'n': 1}"), two=BARE.replace("None", "{'n': 2}"), none=BARE)
    ran = {name: registry.get(name).execute(ctx, {}, Preview.change("")) for name in registry.names()}
    assert ran == {"none": {}, "one": {"n": 1}, "two": {"n": 2}}


def test_without_a_plan_hook_a_task_always_changes(load, ctx):
    preview = load(bare=BARE).get("bare").plan(ctx, {})
    assert preview.action is Action.CHANGE
    assert not preview.reversible


def test_a_preview_of_a_task_without_revert_is_never_reversible(load, ctx):
    source = TASK[: TASK.index("    @hookimpl\n    def revert")]
    assert not load(hello=source).get("hello").plan(ctx, {"greeting": "x"}).reversible


def test_revert_of_a_task_without_one_is_refused(load, ctx):
    with pytest.raises(TaskFailed, match="bare cannot be undone"):
        load(bare=BARE).get("bare").revert(ctx, {}, Preview.change(""), None)


@pytest.mark.parametrize("hook", ["plan", "execute", "revert"])
def test_wrong_rendered_parameters_fail_the_task_without_showing_values(load, ctx, hook):
    task = load(hello=TASK).get("hello")
    arguments = {"plan": (), "execute": (Preview.change(""),), "revert": (Preview.change(""), None)}[hook]
    with pytest.raises(TaskFailed) as caught:
        getattr(task, hook)(ctx, {"greeting": "a", "times": "hunter2"}, *arguments)
    assert "`times` should be a valid integer" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_plan_hook_must_return_a_preview(load, ctx):
    source = BARE + "\n    @hookimpl\n    def plan():\n        return True\n"
    with pytest.raises(TaskFailed, match="`plan` hook of odd must return a Preview, not bool"):
        load(odd=source).get("odd").plan(ctx, {})


def test_execute_must_return_a_dict(load, ctx):
    with pytest.raises(TaskFailed, match="`execute` hook of odd must return a dict, not list"):
        load(odd=BARE.replace("None", "[1]")).get("odd").execute(ctx, {}, Preview.change(""))


GIVING = """
from opsflow import Preview, hookimpl
from pydantic import BaseModel
class Outputs(BaseModel{config}):
    path: str
    size: int | None = None
@hookimpl
def outputs(): return Outputs
@hookimpl
def plan(): return Preview.unchanged("there", outputs={given})
@hookimpl
def execute(): return {given}
"""


@pytest.mark.parametrize(
    ("given", "config", "said"),
    [
        ({"path": "x"}, "", ""),
        ({"path": "x", "size": 3}, "", ""),
        ({"path": "x", "more": 3}, ", extra='allow'", ""),
        ({}, "", "`path` is missing"),
        ({"path": 3, "size": "4"}, "", "`path` must be text; `size` must be a whole number"),
        ({"path": "x", "more": 3}, "", "`more` is not declared"),
    ],
)
def test_outputs_that_are_not_as_declared_are_said_and_kept(load, ctx, capsys, given, config, said):
    task = load(giving=GIVING.format(given=given, config=config)).get("giving")
    told = f"the outputs of giving are not what it declares: {said}\n" if said else ""
    assert task.execute(ctx, {}, Preview.change("")) == given
    assert capsys.readouterr().out == told
    assert task.plan(ctx, {}).outputs == given
    assert capsys.readouterr().out == told


def test_a_task_may_declare_its_outputs_and_may_not(load):
    tasks = load(
        giving=GIVING.format(given={}, config=""), silent="from opsflow import hookimpl\n@hookimpl\ndef execute(): ..."
    )
    assert set(tasks.get("giving").outputs()["properties"]) == {"path", "size"}
    assert tasks.get("silent").outputs() is None


def test_outputs_that_are_not_json_name_the_key(load, ctx):
    source = BARE.replace("None", "{'a': {'b': [1, float('nan')]}}")
    with pytest.raises(TaskFailed, match=r"outputs\.a\.b\[1\] is nan"):
        load(odd=source).get("odd").execute(ctx, {}, Preview.change(""))


WRAPPER = """
    from opsflow import hookimpl

    seen = []

    @hookimpl(wrapper=True)
    def execute(ctx):
        ctx.log("before {name}")
        try:
            {body}
        finally:
            ctx.log("after {name}")
"""


def wrapper(name, body="return (yield)"):
    return WRAPPER.format(name=name, body=body)


def test_wrappers_of_other_plugins_go_around_every_task_later_ones_outside(load, ctx, capsys):
    task = BARE.replace("execute()", "execute(ctx)").replace("return None", "ctx.log('act')")
    registry = load(act=task, a_wrap=wrapper("a"), b_wrap=wrapper("b"))
    assert registry.names() == ("act",)
    assert registry.get("act").execute(ctx, {}, Preview.change("")) == {}
    assert capsys.readouterr().out.split("\n")[:-1] == ["before b", "before a", "act", "after a", "after b"]


def test_a_wrapper_that_forgets_to_return_loses_no_outputs(load, ctx):
    registry = load(act=BARE.replace("None", "{'n': 1}"), wrap=wrapper("w", "yield"))
    assert registry.get("act").execute(ctx, {}, Preview.change("")) == {"n": 1}


@pytest.mark.parametrize("options", ["wrapper=True", "wrapper=True, trylast=True", "wrapper=True, tryfirst=True"])
def test_a_wrapper_cannot_turn_failure_into_success(load, ctx, options):
    swallow = wrapper("w", "return (yield)\n        except BaseException:\n            return {}")
    failing = BARE.replace("return None", "raise RuntimeError('boom')")
    registry = load(act=failing, wrap=swallow.replace("wrapper=True", options))
    with pytest.raises(RuntimeError, match="boom"):
        registry.get("act").execute(ctx, {}, Preview.change(""))


def test_a_wrapper_cannot_hide_an_interruption(load, ctx):
    hide = wrapper("w", "return (yield)\n        except BaseException as e:\n            raise ValueError(e)")
    act = BARE.replace("return None", "raise Interrupted('link lost')").replace("hookimpl", "Interrupted, hookimpl", 1)
    with pytest.raises(Interrupted, match="link lost"):
        load(act=act, wrap=hide).get("act").execute(ctx, {}, Preview.change(""))


def test_a_wrapper_may_object(load, ctx):
    registry = load(act=BARE, wrap=wrapper("w", "raise PermissionError('not today')\n            yield"))
    with pytest.raises(PermissionError, match="not today"):
        registry.get("act").execute(ctx, {}, Preview.change(""))


def test_verdicts_of_parallel_attempts_are_not_mixed_up(load, ctx):
    act = BARE.replace("execute()", "execute(ctx)").replace("return None", "ctx.wait(); return {'n': ctx.n}")
    task = load(act=act).get("act")
    barrier = threading.Barrier(8)
    outputs = {}

    def work(n):
        own = type("Ctx", (), {"project": ctx.project, "n": n, "wait": lambda _: barrier.wait(5)})()
        outputs[n] = task.execute(own, {}, Preview.change(""))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {n: {"n": n} for n in range(8)}


def test_listeners_hear_events(load, capsys):
    registry = load(ear="from opsflow import hookimpl\n@hookimpl\ndef opsflow_event(event):\n    print(event.run_id)\n")
    assert registry.names() == ()
    for listener in registry.listeners():
        listener(RunStopping(run_id="r1", running=()))
    assert capsys.readouterr().out == "r1\n"


def test_without_listening_plugins_there_are_no_listeners(load):
    assert load(bare=BARE).listeners() == ()


def test_secrets_come_from_the_environment_files_and_plugins(load, tmp_path, monkeypatch):
    monkeypatch.setenv("PASSWORD", "hunter2\n")
    (tmp_path / "key").write_text("from a file\n\n")
    registry = load(
        vault="""
        from opsflow import hookimpl

        @hookimpl
        def opsflow_secret(scheme, name):
            return name[::-1] if scheme == "rev" else None
        """
    )
    assert registry.secret("env:PASSWORD") == "hunter2\n"
    assert registry.secret("file:key") == registry.secret(f"file:{tmp_path}/key") == "from a file\n"
    assert registry.secret("rev:a:b") == "b:a"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("env:NOT_SET_ANYWHERE", "environment variable NOT_SET_ANYWHERE is not set"),
        ("env:EMPTY", "it is empty"),
        ("file:nothing", "cannot read .*nothing: No such file"),
        ("file:binary", "binary is not UTF-8"),
        ("keyring:x", "no plugin knows secrets of the kind `keyring:`"),
        ("odd:x", "the plugin gave a int, not text"),
        ("plain", "`plain` is not a reference"),
        ("env:", "`env:` is not a reference"),
    ],
)
def test_a_secret_that_cannot_be_had_fails_the_task(load, tmp_path, monkeypatch, name, message):
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "binary").write_bytes(b"\xff")
    registry = load(
        odd="from opsflow import hookimpl\n@hookimpl\ndef opsflow_secret(scheme):\n    return 5 if scheme == 'odd' else None"
    )
    with pytest.raises(TaskFailed, match=message):
        registry.secret(name)


def test_two_directories_with_one_name_are_an_error_naming_both(load, tmp_path):
    load(bare=BARE)
    other = tmp_path / "other"
    other.mkdir()
    (other / "bare.py").write_text("from opsflow import hookimpl\n@hookimpl\ndef execute(): ...\n")
    with pytest.raises(InputError) as caught:
        load_tasks(directories=[tmp_path / "plugins", other], entry_points=False)
    assert f"{other}/bare.py:1:1" in str(caught.value)
    assert f"{tmp_path}/plugins/bare.py" in str(caught.value)


def test_a_directory_given_twice_is_loaded_once(load, plugin_dir):
    load(bare=BARE)
    twice = [plugin_dir, plugin_dir / ".." / "plugins"]
    assert load_tasks(directories=twice, entry_points=False).names() == ("bare",)


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(InputError, match=f"no plugin directory {tmp_path}/nowhere"):
        load_tasks(directories=[tmp_path / "nowhere"], entry_points=False)


def test_a_changed_file_is_read_anew_even_within_the_same_second(load, ctx):
    first = load(act=BARE.replace("None", "{'n': 1}"))
    second = load(act=BARE.replace("None", "{'n': 2}"))
    assert first.get("act").execute(ctx, {}, Preview.change("")) == {"n": 1}
    assert second.get("act").execute(ctx, {}, Preview.change("")) == {"n": 2}
    assert first.get("act").digest != second.get("act").digest


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """An installed distribution with entry points."""

    def install(points, **modules):
        info = tmp_path / "site" / "stranger-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[opsflow.tasks]\n" + "\n".join(points))
        for name, source in modules.items():
            (tmp_path / "site" / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.setattr("opsflow.plugins.loading.importlib.metadata.entry_points", stranger_only)
        return tmp_path / "site"

    def stranger_only(*, group):
        found = original(group=group)
        return [point for point in found if point.dist.name == "stranger"]

    from importlib.metadata import entry_points as original

    return install


def test_an_entry_point_names_its_task(distribution):
    site = distribution(
        ["greet = stranger_greet"], stranger_greet="from opsflow import hookimpl\n@hookimpl\ndef execute(): ...\n"
    )
    registry = load_tasks()
    assert registry.names() == ("greet",)
    assert registry.get("greet").source == str(site / "stranger_greet.py")


def test_a_file_that_takes_the_name_of_an_entry_point_is_an_error_naming_both(distribution, tmp_path):
    plugin = "from opsflow import hookimpl\n@hookimpl\ndef execute(): ...\n"
    site = distribution(["greet = stranger_clash"], stranger_clash=plugin)
    (tmp_path / "greet.py").write_text(plugin)
    with pytest.raises(InputError) as caught:
        load_tasks(directories=[tmp_path])
    assert f"{tmp_path}/greet.py:1:1" in str(caught.value)
    assert str(site / "stranger_clash.py") in str(caught.value)


def test_broken_entry_points_are_all_reported(distribution):
    site = distribution(
        ["a = stranger_missing", "b = stranger_broken", "c = stranger_ok:thing", "d = stranger_ok", "e = stranger_ok"],
        stranger_broken="import os\n\nimport nothing_like_that\n",
        stranger_ok="from opsflow import hookimpl\n@hookimpl\ndef execute(): ...\n",
    )
    with pytest.raises(InputError) as caught:
        load_tasks()
    missing, broken, inside, twice = map(str, caught.value.problems)
    assert missing.startswith("a = stranger_missing:1:1: plugin `a` cannot be imported: ModuleNotFoundError")
    assert broken.startswith(f"{site}/stranger_broken.py:3:1: plugin `b` cannot be imported: ModuleNotFoundError")
    assert "`c = stranger_ok:thing` in opsflow.tasks must name a module" in inside
    assert "plugin `e`: it is the same module as the plugin `d`" in twice
