"""The engine alone: tasks that do nothing, every state durable."""

import sys
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import peers
from hosts import PLUGINS, PROGRAMS, apply, playbook
from measuring import Bar, Contender, MiB, Report, Sample, median, run_process, shown, take_turns

STEPS = 5
SIZES = (1_000, 5_000, 50_000)
TASKFLOW = 1_000
FORKS = 50
PARTS = ("compile", "preview", "begin", "run")


def measure(work: Path, *, sizes: Sequence[int], runs: int) -> list[Report]:
    """opsflow at several sizes, taskflow at the one that it bears."""
    contenders: dict[str, Contender] = {}
    for size in sizes:
        for per in ("host", "all"):
            contenders[_name(size, per)] = _opsflow(work, size, per)
        contenders[f"the whole `opsflow apply`, {size:,} nodes"] = _whole(work, size)
    contenders[f"taskflow, memory, threads, {TASKFLOW:,} nodes"] = _taskflow(work, TASKFLOW)
    contenders[f"taskflow, SQLite, threads, {TASKFLOW:,} nodes"] = _taskflow(work, TASKFLOW, sqlite=True)
    samples = take_turns(contenders, runs)
    return [
        Report(
            title=f"The engine alone: tasks that do nothing, hosts x {STEPS} steps, {FORKS} threads",
            notes=(
                "Milliseconds per node. opsflow: read and compile the files, preview, write the run to SQLite, run it,"
                " every intent and outcome durable; no transport, no report. `engine`: all of that but the preview,"
                " which the others do not have. The whole `opsflow apply` has reports too, and the interpreter's start."
                " Barriers: every step waits for the one before it on all hosts."
            ),
            head=("", "compile", "preview", "write the run", "run", "engine", "least to most", "peak memory"),
            rows=[_row(name, found) for name, found in samples.items()],
            bars=_bars(samples, sizes),
        )
    ]


def _bars(samples: Mapping[str, Sequence[Sample]], sizes: Sequence[int]) -> list[Bar]:
    small, large = min(sizes), max(sizes)
    found = samples[_name(large, "host")]
    growth = median(found, _per_node) / median(samples[_name(small, "host")], _per_node)
    return [
        Bar(what=f"per node at {large:,} nodes", measured=median(found, _per_node), most=0.1, unit="ms"),
        Bar(
            what=f"memory at {large:,} nodes",
            measured=median(found, lambda s: s.said["peak"]) / MiB,
            most=300,
            unit="MiB",
        ),
        Bar(what=f"per node at {large:,} nodes against {small:,}", measured=growth, most=1.1, unit="times"),
    ]


def _name(size: int, per: str) -> str:
    return f"opsflow, {'per host' if per == 'host' else 'barriers'}, {size:,} nodes"


def _row(name: str, found: Sequence[Sample]) -> list[str]:
    if not found[0].said:  # a whole process: its parts are not told apart
        nodes = int(name.rpartition(", ")[2].removesuffix(" nodes").replace(",", ""))
        walls = [s.wall * 1000 / nodes for s in found]
        return [
            name,
            "",
            "",
            "",
            "",
            f"{median(found) * 1000 / nodes:.3f}",
            f"{min(walls):.3f} to {max(walls):.3f}",
            "",
        ]
    parts = [median(found, lambda s, p=part: s.said[p] * 1000 / s.said["nodes"]) for part in PARTS]
    sums = [_per_node(s) for s in found]
    peak = median(found, lambda s: s.said["peak"]) / MiB
    return [
        name,
        *(f"{part:.3f}" for part in parts),
        f"{median(found, _per_node):.3f}",
        f"{min(sums):.3f} to {max(sums):.3f}",
        f"{shown(peak)} MiB",
    ]


def _per_node(sample: Sample) -> float:
    said = sample.said
    return float((said["compile"] + said["begin"] + said["run"]) * 1000 / said["nodes"])


def _opsflow(work: Path, size: int, per: str) -> Contender:
    book, inventory = _files(work, size, per)
    numbers = count()
    base = f"engine-{size}-{per}"

    def run() -> Sample:
        journal = work / f"{base}-{next(numbers)}.db"
        words = [sys.executable, PROGRAMS / "engine_opsflow.py", book, inventory, journal, PLUGINS, str(FORKS)]
        return run_process(words, cwd=work)

    return run


def _whole(work: Path, size: int) -> Contender:
    book, inventory = _files(work, size, "host")
    numbers = count()
    more = ("--plugins", str(PLUGINS))
    return lambda: run_process(
        apply(book, inventory, work / f"whole-{size}-{next(numbers)}.db", forks=FORKS, more=more), cwd=work
    )


def _files(work: Path, size: int, per: str) -> tuple[Path, Path]:
    inventory = work / f"engine-{size}.toml"
    inventory.write_text(
        f'[ssh]\ntransport = "fake"\n[groups.nodes]\nhosts = ["host-[00001:{size // STEPS:05}].example.com"]\n'
    )
    return playbook(work / f"engine-{size}-{per}-book.toml", steps=STEPS, per=per, task="noop", run=None), inventory


def _taskflow(work: Path, size: int, *, sqlite: bool = False) -> Contender:
    numbers = count()

    def run() -> Sample:
        words = [peers.program("python"), PROGRAMS / "engine_taskflow.py", str(size // STEPS), str(STEPS), str(FORKS)]
        return run_process([*words, *([work / f"taskflow-{next(numbers)}.db"] if sqlite else [])], cwd=work)

    return run
