"""On what was measured, without saying whose machine it is."""

import os
import platform
import re
import sqlite3
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def description() -> str:
    """Cores, memory, system, interpreter, load."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return "; ".join(
        [
            f"{os.cpu_count()} cores ({_processor()})",
            f"{_memory_gib():.0f} GiB of memory",
            f"{_system()}, Linux {platform.release()}" if sys.platform == "linux" else platform.platform(),
            f"{platform.python_implementation()} {platform.python_version()}",
            f"load before the start {load}",
        ]
    )


def versions() -> str:
    """Of opsflow, of what it stands on, and of the ssh server."""
    names = ("opsflow", "paramiko", "fabric", "pydantic", "SQLAlchemy", "networkx")
    return ", ".join(
        [*(f"{name} {metadata.version(name)}" for name in names), f"SQLite {sqlite3.sqlite_version}", _ssh()]
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)", _read("/proc/cpuinfo"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    found = re.search(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) / (1 << 20) if found else 0.0


def _system() -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE)
    return found[1] if found else "unknown system"


def _ssh() -> str:
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    return said.partition(",")[0].strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
