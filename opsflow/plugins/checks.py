"""Is a plugin what the hookspecs say? Everything that is wrong, each at its line."""

import inspect
import keyword
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from types import FunctionType, ModuleType
from typing import Any

from pydantic import BaseModel

from opsflow.errors import Problem
from opsflow.plugins import hookspecs
from opsflow.plugins.loading import Plugin

_MODELS = ("params", "outputs")
TASK_HOOKS = (*_MODELS, "plan", "execute", "revert")
_WRAPPABLE = ("execute", "revert", "opsflow_event", "opsflow_secret")
_LATER = ("opsflow_transport", "opsflow_inventory")
_MARK = f"{hookspecs.PROJECT}_impl"


def hooks_of(module: ModuleType) -> dict[str, Mapping[str, Any]]:
    """The decorated functions of a module: name → pluggy's options."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, value in vars(module).items():
        options = getattr(value, _MARK, None)
        if isinstance(value, FunctionType) and isinstance(options, dict):
            found[name] = options
    return found


def implements(module: ModuleType, hook: str) -> bool:
    """Whether the module itself has this hook, not a wrapper of it."""
    options = hooks_of(module).get(hook)
    return options is not None and not _wraps(options)


def is_task(module: ModuleType) -> bool:
    """Whether it provides a task, rather than only listening to or wrapping others."""
    return any(implements(module, hook) for hook in TASK_HOOKS)


def check(plugin: Plugin) -> list[Problem]:
    """All that is wrong with an imported plugin."""
    hooks = hooks_of(plugin.module)
    problems = [plugin.problem(message, function=name) for name, message in _check_module(plugin, hooks)]
    for name, options in hooks.items():
        function = getattr(plugin.module, name)
        problems += [plugin.problem(said, function=name) for said in _check_hook(name, function, options, plugin)]
    return problems


def _check_module(plugin: Plugin, hooks: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """(function, message) of what no decorated function shows."""
    if not plugin.name.isidentifier() or keyword.iskeyword(plugin.name):
        yield "", "the name must be an identifier: letters, digits and `_`"
    for name in (*TASK_HOOKS, "opsflow_event", "opsflow_secret"):
        if name in plugin.functions and name not in hooks:
            yield name, f"`{name}` is not decorated: write @hookimpl above it"
    for name in ("idempotent", "gate"):
        if not isinstance(getattr(plugin.module, name, False), bool):
            yield "", f"`{name}` must be True or False"
    if getattr(plugin.module, "gate", False) is True:
        yield from _check_gate(plugin.module)
        return
    undecorated = "execute" in plugin.functions and "execute" not in hooks
    if not undecorated and (is_task(plugin.module) or not hooks) and not implements(plugin.module, "execute"):
        yield "", "it has no `execute` hook" if hooks else "it has no hook: nothing in it is decorated with @hookimpl"


def _check_gate(module: ModuleType) -> Iterator[tuple[str, str]]:
    if not implements(module, "plan"):
        yield "", "it is a gate and has no `plan` hook, which says what is to be approved"
    for name in ("execute", "revert"):
        if implements(module, name):
            yield name, f"`{name}`: a gate does nothing itself; put what it does into a step after it"


def _check_hook(name: str, function: Callable[..., Any], options: Mapping[str, Any], plugin: Plugin) -> Iterator[str]:
    hook = options.get("specname") or name
    spec = getattr(hookspecs, hook, None)
    if not hasattr(spec, f"{hookspecs.PROJECT}_spec"):
        if not options.get("optionalhook"):
            yield _unknown(hook)
        return
    if hook != name and hook in TASK_HOOKS and not _wraps(options):
        yield f"`{name}`: a task's `{hook}` must bear its name"
    if options.get("hookwrapper"):
        yield f"`{name}`: old-style wrappers are not supported: write @hookimpl(wrapper=True)"
    elif options.get("wrapper"):
        yield from _check_wrapper(name, hook, function, plugin)
    elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"`{name}` is async: hooks are plain functions"
    elif inspect.isgeneratorfunction(function):
        yield f"`{name}` is a generator: hooks return their result (or is it a wrapper? @hookimpl(wrapper=True))"
    assert spec is not None
    yield from _check_arguments(name, function, list(inspect.signature(spec).parameters))
    if hook == name and hook in _MODELS and not _wraps(options):
        yield from _check_model(name, function)


def _check_wrapper(name: str, hook: str, function: Callable[..., Any], plugin: Plugin) -> Iterator[str]:
    if hook not in _WRAPPABLE:
        yield f"`{name}`: `{hook}` cannot be wrapped, only {', '.join(_WRAPPABLE)}"
    elif hook in TASK_HOOKS and is_task(plugin.module):
        yield f"`{name}`: a wrapper is called around every task, so it belongs into a plugin of its own"
    if not inspect.isgeneratorfunction(function):
        yield f"`{name}` is declared a wrapper but does not `yield`"


def _check_arguments(name: str, function: Callable[..., Any], known: list[str]) -> Iterator[str]:
    takes = ", ".join(known) or "none"
    for argument in inspect.signature(function).parameters.values():
        if argument.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            yield f"`{name}` must take plain arguments, not `{argument}`; there are: {takes}"
        elif argument.name not in known:
            close = get_close_matches(argument.name, known, n=1)
            meant = f"did you mean `{close[0]}`? " if close else ""
            yield f"`{name}` has no argument `{argument.name}`; {meant}there are: {takes}"
        elif argument.default is not inspect.Parameter.empty:
            # pluggy would never pass it, and the default would always win.
            yield f"`{name}`: the argument `{argument.name}` must not have a default"


def _check_model(name: str, function: Callable[..., Any]) -> Iterator[str]:
    if inspect.signature(function).parameters or inspect.iscoroutinefunction(function):
        return  # said already
    try:
        model = function()
    except Exception as error:  # noqa: BLE001 - a stranger's function may raise anything
        yield f"`{name}` raised {type(error).__name__}: {error}"
        return
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        yield f"`{name}` must return a pydantic model class, not {model!r}"


def _unknown(hook: str) -> str:
    if hook in _LATER:
        return f"the hook `{hook}` is not supported by this version"
    known = [name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")]
    close = get_close_matches(hook, known, n=1)
    return f"there is no hook `{hook}`" + (f"; did you mean `{close[0]}`?" if close else "")


def _wraps(options: Mapping[str, Any]) -> bool:
    return bool(options.get("wrapper") or options.get("hookwrapper"))
