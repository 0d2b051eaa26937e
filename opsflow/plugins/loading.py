"""Finds plugins and imports them: entry points, and files of directories."""

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from opsflow.errors import Position, Problem

GROUP = "opsflow.tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of a plugin's file.

    Attributes:
        path: The file; of an entry point that cannot be found, what names it.
        data: Its bytes, those that are executed.
    """

    path: str
    data: bytes = b""

    def problem(self, message: str, *, line: int = 1, column: int = 1, hint: str = "") -> Problem:
        """What is wrong at a place of the file."""
        lines = self.data.decode(errors="replace").splitlines()
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        where = Position(file=self.path, line=line, column=column)
        return Problem(message=message, position=where, line=text, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plugin:
    """An imported plugin.

    Attributes:
        name: Name of the entry point, or stem of the file.
        module: The module.
        source: Its text.
        functions: (line, column) of each function defined at its top level.
    """

    name: str
    module: ModuleType
    source: Source
    functions: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the file, and of all that lies in its package: what the task does is written there too."""
        found = hashlib.sha256(self.source.data)
        if self.module.__package__ and self.module.__package__ != self.module.__name__:
            for path in sorted(Path(self.source.path).parent.rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    found.update(f"\0{path.name}\0".encode() + path.read_bytes())
        return found.hexdigest()

    def problem(self, message: str, *, function: str = "", hint: str = "") -> Problem:
        """What is wrong, placed at one of its functions or at its first line."""
        line, column = self.functions.get(function, (1, 1))
        return self.source.problem(f"plugin `{self.name}`: {message}", line=line, column=column, hint=hint)


def find(directories: Sequence[Path], *, entry_points: bool) -> Iterator[Plugin | Problem]:
    """Import every plugin there is; what cannot be imported comes as a problem.

    Files whose name begins with `_` are not plugins: there is room for what several share.
    """
    if entry_points:
        for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
            yield _from_entry_point(point)
    for directory in dict.fromkeys(path.resolve() for path in directories):
        if not directory.is_dir():
            yield Problem(message=f"there is no plugin directory {directory}")
            continue
        for path in sorted(directory.glob("[!_.]*.py")):
            yield _from_file(path)


def _from_file(path: Path) -> Plugin | Problem:
    try:
        source = Source(path=str(path), data=path.read_bytes())
    except OSError as error:
        return Problem(message=f"cannot read the plugin {path}: {error.strerror}")
    # The name must not be another module's, nor that of a plugin of another directory.
    unique = f"_opsflow_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # pydantic looks up postponed annotations there
    try:
        # Not the loader's way: what runs must be the bytes whose digest is kept, not a cached file of the same second.
        exec(compile(source.data, source.path, "exec"), module.__dict__)  # noqa: S102 - a plugin is trusted code
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module may raise anything
        del sys.modules[unique]
        return _import_problem(path.stem, source, error)
    return _plugin(path.stem, module, source)


def _from_entry_point(point: importlib.metadata.EntryPoint) -> Plugin | Problem:
    written = f"{point.name} = {point.value}"
    if point.attr:
        return Problem(message=f"entry point `{written}` in {GROUP} must name a module, nothing inside one")
    try:
        module = importlib.import_module(point.module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module may raise anything
        return _import_problem(point.name, _entry_point_source(point), error)
    return _plugin(point.name, module, _read(module.__file__ or written))


def _entry_point_source(point: importlib.metadata.EntryPoint) -> Source:
    """Of a module that cannot be imported."""
    try:
        spec = importlib.util.find_spec(point.module)
    except (Exception, SystemExit):  # noqa: BLE001 - its package may raise anything
        spec = None
    return _read(spec.origin) if spec and spec.origin else Source(path=f"{point.name} = {point.value}")


def _read(path: str) -> Source:
    try:
        return Source(path=path, data=Path(path).read_bytes())
    except OSError:  # not a plain file: in an archive, or compiled in
        return Source(path=path)


def _plugin(name: str, module: ModuleType, source: Source) -> Plugin:
    tree = ast.parse(source.data)
    functions = {
        node.name: (node.lineno, node.col_offset + 1)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return Plugin(name=name, module=module, source=source, functions=functions)


def _import_problem(name: str, source: Source, error: BaseException) -> Problem:
    message = f"plugin `{name}` cannot be imported: {_said(error)}"
    if isinstance(error, SyntaxError) and error.filename == source.path:
        return source.problem(message, line=error.lineno or 1, column=max(error.offset or 1, 1))
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source.path]
    return source.problem(message, line=(lines[-1] if lines else None) or 1)


def _said(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
