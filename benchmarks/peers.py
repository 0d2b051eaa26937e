"""The others, in a virtual environment of their own below `.cache/benchmarks/`."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache" / "benchmarks"
PACKAGES = ("ansible-core", "pyinfra", "taskflow[database]")

_HOME = CACHE / "peers"
_VERSIONS = (
    "import importlib.metadata as m, json, sys; print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


def program(name: str) -> Path:
    """A program of the peers' environment, which is made on first use."""
    _make()
    return _HOME / "bin" / name


def versions() -> Mapping[str, str]:
    """What is installed there; empty if it was never needed."""
    if not _stamp().exists():
        return {}
    command = [
        str(_HOME / "bin" / "python"),
        "-c",
        _VERSIONS,
        *(name.partition("[")[0] for name in PACKAGES),
        "paramiko",
    ]
    found: Mapping[str, str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def _make() -> None:
    if _stamp().exists():
        return
    print(f"installing {', '.join(PACKAGES)} into {_HOME.relative_to(PROJECT)}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(_HOME)], check=True)
    subprocess.run([str(_HOME / "bin" / "python"), "-m", "pip", "install", "-qq", *PACKAGES], check=True)
    _stamp().write_text(sys.version)


def _stamp() -> Path:
    return _HOME / "made"
