"""Running contenders as processes, taking turns, and what to make of the figures."""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MiB = 1 << 20


class ContenderFailed(Exception):
    """A process that was to be measured did not end with 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one contender.

    Attributes:
        wall: Seconds from its start to its end, the interpreter's own start included.
        cpu: Seconds of CPU of the process and of the children that it waited for.
        said: What it printed as its last line, if that is JSON.
    """

    wall: float
    cpu: float
    said: Mapping[str, Any] = field(default_factory=dict)


Contender = Callable[[], Sample]


def run_process(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> Sample:
    """Run a process to its end.

    Raises:
        ContenderFailed: it did not end with 0; the message holds the end of what it said.
    """
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
    if process.returncode:
        raise ContenderFailed(f"{' '.join(map(str, command))}: exit {process.returncode}\n" + "\n".join(lines[-30:]))
    return Sample(wall=wall, cpu=usage.ru_utime + usage.ru_stime, said=_json(lines))


def take_turns(contenders: Mapping[str, Contender], runs: int) -> dict[str, list[Sample]]:
    """Run all contenders `runs` times in turns, so that what else the machine does meets them alike."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(1, runs + 1):
        for name, contender in contenders.items():
            sample = contender()
            samples[name].append(sample)
            print(f"  {number}/{runs}  {sample.wall:8.2f} s  {name}", flush=True)
    return samples


def median(samples: Sequence[Sample], figure: Callable[[Sample], float] = lambda s: s.wall) -> float:
    """The median of a figure, the wall time unless said otherwise."""
    return statistics.median(figure(s) for s in samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A figure to reach.

    Attributes:
        what: In words.
        most: The figure must not be above.
        least: Or not below.
        measured: What was measured.
        unit: Of both.
    """

    what: str
    measured: float
    most: float | None = None
    least: float | None = None
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether it is good enough."""
        return (self.most is None or self.measured <= self.most) and (self.least is None or self.measured >= self.least)

    def row(self) -> list[str]:
        """As cells of a table."""
        wanted = f"≤ {self.most:g}" if self.most is not None else f"≥ {self.least:g}"
        return [
            self.what,
            f"{wanted} {self.unit}".strip(),
            f"{shown(self.measured)} {self.unit}".strip(),
            "reached" if self.reached else "**missed**",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a benchmark found.

    Attributes:
        title: What was measured.
        notes: How to read it.
        head, rows: A table.
        bars: How far that is from where it should be.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: str = ""
    bars: Sequence[Bar] = ()

    def markdown(self) -> str:
        """The report as text."""
        parts = [f"## {self.title}", self.notes, table(self.head, self.rows)]
        if self.bars:
            parts.append(table(("bar", "wanted", "measured", ""), [bar.row() for bar in self.bars]))
        return "\n\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def timing_rows(samples: Mapping[str, Sequence[Sample]], base: str) -> list[list[str]]:
    """Rows of name, wall, CPU, and how many times as long as `base`; the quickest first."""
    own = median(samples[base])
    return [
        [
            f"**{name}**" if name == base else name,
            spread(found),
            f"{shown(median(found, lambda s: s.cpu))} s",
            f"{median(found) / own:.2f}",
        ]
        for name, found in sorted(samples.items(), key=lambda item: median(item[1]))
    ]


TIMING_HEAD = ("", "wall: median (least to most)", "own CPU", "times opsflow")


def spread(samples: Sequence[Sample]) -> str:
    """Median and range of the wall time."""
    walls = [s.wall for s in samples]
    return f"{shown(statistics.median(walls))} s ({shown(min(walls))} to {shown(max(walls))})"


def shown(number: float) -> str:
    """Three significant digits."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def _json(lines: Sequence[str]) -> Mapping[str, Any]:
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
