"""Types for task parameters that mean more than their text."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

SECRET_KEY = "$secret"  # noqa: S105 - the key under which a reference is stored, not a secret


class LocalPath(str):
    """A file or directory of the control machine, absolute once validated: relative ones begin in the project."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        """A string that becomes a `LocalPath`."""
        from pydantic_core import core_schema  # noqa: PLC0415 - keeps `import opsflow` light

        return core_schema.with_info_after_validator_function(cls._resolve, core_schema.str_schema(min_length=1))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """A string with `format: local-path`."""
        return {"type": "string", "format": "local-path"}

    @classmethod
    def _resolve(cls, value: str, info: "ValidationInfo") -> "LocalPath":
        # The registry validates with {"directory": ...}; without it (a schema check) the text stays as written.
        directory = (info.context or {}).get("directory")
        try:
            path = Path(value).expanduser()
        except RuntimeError:
            raise ValueError(f"there is no user `{value.partition('/')[0].removeprefix('~')}`") from None
        return cls(Path(directory, path)) if directory else cls(value)


class LocalFiles:
    """Digests of local files and directories; what did not change on the disk is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[tuple[str, int, int], ...]], str] = {}

    def digest(self, path: str) -> str:
        """SHA-256 of a file, or of a directory's names and contents; empty if it cannot be read."""
        root = Path(path)
        try:
            files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
            seen = tuple((str(f), (s := f.stat()).st_mtime_ns, s.st_size) for f in files)
            if (path, seen) not in self._known:
                self._known[path, seen] = _digest(root, files)
            return self._known[path, seen]
        except OSError:
            return ""


def _digest(root: Path, files: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        found.update(f"{file.relative_to(root)}\0{content}\0".encode())
    return found.hexdigest()


class Secret:
    """A reference to a secret: `env:NAME`, `file:PATH`. Its value is fetched with `ctx.secret(secret.name)`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        """Takes a reference only: a literal would be a secret in a file."""
        from pydantic_core import core_schema  # noqa: PLC0415 - keeps `import opsflow` light

        return core_schema.no_info_plain_validator_function(
            cls._parse,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda s: {SECRET_KEY: s.name}),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """An object that only `secret()` makes."""
        return {"type": "object", "format": "secret"}

    @classmethod
    def _parse(cls, value: Any) -> "Secret":
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping) and set(value) == {SECRET_KEY}:
            return cls(str(value[SECRET_KEY]))
        raise ValueError("must be a reference: {{ secret('env:NAME') }} or {{ secret('file:PATH') }}")
