"""A few hosts far away: what counts is how often a step waits for the other side."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from hosts import APART, PROGRAMS, Hosts, apply, fleet, home, playbook
from measuring import Bar, Contender, Report, Sample, median, run_process, shown, spread, take_turns

HOSTS = 20
STEPS = 20
ROUND_TRIP = 0.05
# For counting round trips: so long that what the processors do meanwhile hardly counts.
LONG = 0.25
FEW, MANY = 2, 12


def measure(work: Path, *, runs: int) -> list[Report]:
    """Wall time over a proxy, and round trips per step."""
    with home(work) as homes, fleet(homes, HOSTS) as targets:
        with _far(work, targets, ROUND_TRIP) as far:
            samples = take_turns(_contenders(work, far, STEPS), runs)
        with _far(work, targets.first(1), LONG) as far:
            few = take_turns({f"{n}, {FEW} steps": c for n, c in _contenders(work, far, FEW).items()}, runs)
            many = take_turns({f"{n}, {MANY} steps": c for n, c in _contenders(work, far, MANY).items()}, runs)
    trips = {
        name: (median(long) - median(short)) / (MANY - FEW) / LONG
        for name, short, long in zip(samples, few.values(), many.values(), strict=True)
    }
    own, paramiko, _ = (median(found) for found in samples.values())
    return [
        Report(
            title=f'{HOSTS} hosts x {STEPS} commands, {ROUND_TRIP * 1000:g} ms round trip, per = "host"',
            notes=(
                "A proxy delays each direction by half and charges a round trip for connecting. Round trips per step:"
                f" what a step more costs on one host {LONG * 1000:g} ms away. {APART}"
            ),
            head=("", "wall: median (least to most)", "own CPU", "round trips per step", "times opsflow"),
            rows=[_row(name, found, trips[name], own) for name, found in samples.items()],
            bars=[
                Bar(what="opsflow against the bare paramiko loop", measured=own / paramiko, most=0.6, unit="times"),
                Bar(what="round trips per step", measured=trips["opsflow"], most=1.1),
            ],
        )
    ]


def _row(name: str, found: list[Sample], trips: float, own: float) -> list[str]:
    cpu = f"{shown(median(found, lambda s: s.cpu))} s"
    return [
        f"**{name}**" if name == "opsflow" else name,
        spread(found),
        cpu,
        f"{trips:.2f}",
        f"{median(found) / own:.2f}",
    ]


def _contenders(work: Path, targets: Hosts, steps: int) -> dict[str, Contender]:
    book = playbook(work / f"distant-book-{steps}.toml", steps=steps, per="host")
    inventory = targets.opsflow(work / f"distant-{len(targets.places)}.toml")
    plain = targets.plain(work / f"distant-{len(targets.places)}.json")
    numbers = count()
    base = f"distant-{len(targets.places)}-{steps}"

    def loop(program: str) -> Contender:
        return lambda: run_process([sys.executable, PROGRAMS / program, plain, str(steps), str(HOSTS)], cwd=work)

    return {
        "opsflow": lambda: run_process(
            apply(book, inventory, work / f"{base}-{next(numbers)}.db", forks=HOSTS), cwd=work
        ),
        "paramiko, one exec per command": loop("paramiko_loop.py"),
        "fabric in a thread pool": loop("fabric_loop.py"),
    }


@contextmanager
def _far(work: Path, targets: Hosts, round_trip: float) -> Iterator[Hosts]:
    places = [f"{address}:{port}" for address, port in targets.places.values()]
    proxy = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "proxy.py"), str(round_trip), *places],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert proxy.stdout
        ports = json.loads(proxy.stdout.readline())
        moved = {name: ("127.0.0.1", port) for name, port in zip(targets.places, ports, strict=True)}
        yield targets.moved(moved, work / f"known_hosts_{round_trip:g}")
    finally:
        proxy.kill()
        proxy.wait()
