"""The plugins of one process: found, checked, and ready to be called."""

import os
from collections.abc import Sequence
from pathlib import Path

import pluggy

from opsflow.errors import InputError, Problem, TaskFailed
from opsflow.events import Listener
from opsflow.plugins import hookspecs
from opsflow.plugins.checks import check, is_task
from opsflow.plugins.loading import Plugin, find
from opsflow.plugins.task import PluginTask, Verdicts


def load_tasks(
    *, directories: Sequence[Path] = (), entry_points: bool = True, project: Path | None = None
) -> "TaskRegistry":
    """Find all plugins.

    Args:
        directories: Their `*.py` files are plugins, named by their stems; `_*.py` are not.
        entry_points: Whether to load those of the group `opsflow.tasks`.
        project: Where relative `file:` secrets begin; None: the current directory.

    Raises:
        InputError: all that is wrong with the plugins, each with its file and line.
    """
    plugins: list[Plugin] = []
    problems: list[Problem] = []
    for found in find(directories, entry_points=entry_points):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            problems += check(found) + _clashes(found, plugins)
            plugins.append(found)
    if problems:
        raise InputError(problems)
    return TaskRegistry(plugins, project or Path.cwd())


class TaskRegistry:
    """`ports.Tasks` over checked plugins. Made by `load_tasks`."""

    def __init__(self, plugins: Sequence[Plugin], project: Path) -> None:
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        for plugin in plugins:
            manager.register(plugin.module, plugin.name)
        verdicts = Verdicts()
        manager.register(verdicts, "opsflow verdicts")  # last, so that it is the innermost wrapper
        self._hook = manager.hook
        self._project = project
        tasks = [plugin for plugin in plugins if is_task(plugin.module)]
        self._tasks = {}
        for plugin in sorted(tasks, key=lambda plugin: plugin.name):
            others = [other.module for other in tasks if other is not plugin]
            hooks = {name: manager.subset_hook_caller(name, others) for name in ("plan", "execute", "revert")}
            self._tasks[plugin.name] = PluginTask(plugin, hooks, verdicts)

    def names(self) -> Sequence[str]:
        """All names, sorted."""
        return tuple(self._tasks)

    def get(self, name: str) -> PluginTask | None:
        """The task of that name."""
        return self._tasks.get(name)

    def listeners(self) -> Sequence[Listener]:
        """What plugins want to be told of events."""
        if not self._hook.opsflow_event.get_hookimpls():
            return ()
        return (lambda event: self._hook.opsflow_event(event=event),)

    def secret(self, name: str) -> str:
        """The value of a secret.

        Args:
            name: `env:NAME` (variable of this process), `file:PATH` (its content, one last newline taken off), or
                `SCHEME:NAME` of a plugin's `opsflow_secret` hook.

        Raises:
            TaskFailed: there is no such secret, or it is empty. The message names the reference, never a value.
        """
        scheme, colon, rest = name.partition(":")
        if not colon or not rest:
            raise TaskFailed(f"`{name}` is not a reference to a secret: write env:NAME or file:PATH")
        match scheme:
            case "env":
                value = os.environ.get(rest)
                missing = f"the environment variable {rest} is not set"
            case "file":
                return self._secret_file(name, rest)
            case _:
                value = self._hook.opsflow_secret(scheme=scheme, name=rest)
                missing = f"no plugin knows secrets of the kind `{scheme}:`; built in are env: and file:"
        if value is None:
            raise TaskFailed(f"secret {name}: {missing}")
        return _checked(name, value)

    def _secret_file(self, name: str, path: str) -> str:
        file = Path(self._project, Path(path).expanduser())
        try:
            return _checked(name, file.read_text(encoding="utf-8").removesuffix("\n"))
        except UnicodeDecodeError:
            raise TaskFailed(f"secret {name}: {file} is not UTF-8 text") from None
        except OSError as error:
            raise TaskFailed(f"secret {name}: cannot read {file}: {error.strerror}") from error


def _checked(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TaskFailed(f"secret {name}: the plugin gave a {type(value).__name__}, not text")
    if not value:
        raise TaskFailed(f"secret {name}: it is empty")
    return value


def _clashes(plugin: Plugin, earlier: Sequence[Plugin]) -> list[Problem]:
    problems = []
    for other in earlier:
        if other.name == plugin.name:
            problems.append(plugin.problem(f"another plugin has that name: {other.source.path}"))
        elif other.module is plugin.module:
            problems.append(plugin.problem(f"it is the same module as the plugin `{other.name}`"))
    return problems
