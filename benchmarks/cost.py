"""What an operation costs the target over a bare `sh -c`."""

import sys
from pathlib import Path

from hosts import APART, PROGRAMS, home
from measuring import Bar, Report, Sample, median, run_process, shown, take_turns
from programs.cost import KINDS

_COMMANDS = 300
_BAR = 1.5


def measure(work: Path, *, runs: int) -> list[Report]:
    """CPU milliseconds of the target's processes per command, of each kind."""

    def contender(kind: str) -> Sample:
        with home(work) as directory:
            return run_process([sys.executable, PROGRAMS / "cost.py", kind, str(_COMMANDS), directory], cwd=work)

    found = take_turns({kind: lambda kind=kind: contender(kind) for kind in KINDS}, runs)
    figures = {
        kind: tuple(median(samples, lambda s, name=name: s.said[name]) for name in ("bare", "runner"))
        for kind, samples in found.items()
    }
    return [
        Report(
            title="What a command costs its host: CPU milliseconds",
            notes=(
                f"{_COMMANDS} commands one after another on one connection, with this machine's `sh`; all processes of"
                f" the host counted. Bare: `sh -c` by fork and exec. {APART}"
            ),
            head=("", "bare `sh -c`", "as an operation", "more"),
            rows=[[k, f"{b:.2f}", f"{r:.2f}", f"{r - b:.2f}"] for k, (b, r) in figures.items()],
            bars=[
                Bar(what=f"more than a bare shell, {kind}", measured=float(shown(r - b)), most=_BAR, unit="ms")
                for kind, (b, r) in figures.items()
            ],
        )
    ]
