"""Measures opsflow and others side by side on throwaway hosts of this machine, and writes `benchmarks/RESULTS.md`.

Each figure is the median of several runs in which the contenders take turns: what counts is their ratio within one run.
The others are installed below `.cache/benchmarks/` on first use; nothing else is left behind.
"""

import argparse
import compileall
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import cost
import distant
import engine
import large_inventories
import machine
import many
import peers
import starting
import transfer
from measuring import Report

import opsflow
import opsflow_tasks

READING = "Medians; the contenders took turns, so that ratios hold on other machines too. Absolute figures do not."
RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def arguments() -> argparse.Namespace:
    """What is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(_benchmarks())}; default: all")
    parser.add_argument("--hosts", type=int, default=50, help="hosts of `many` (default: 50; up to 208)")
    parser.add_argument("--forks", type=int, default=50, help="at once in `many` (default: 50)")
    parser.add_argument("--sizes", default="1000,5000,50000", help="numbers of nodes in `engine`")
    parser.add_argument("--mebibytes", type=int, default=256, help="size of the file in `transfer` (default: 256)")
    parser.add_argument("--runs", type=int, default=3, help="runs of everything (default: 3)")
    parser.add_argument("--results", type=Path, help="file to write (default: benchmarks/RESULTS.md, if all are run)")
    found = parser.parse_args()
    unknown = set(found.names) - set(_benchmarks())
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    return found


def _benchmarks() -> dict[str, Callable[[Path, argparse.Namespace], list[Report]]]:
    return {
        "many": lambda work, a: many.measure(work, hosts=a.hosts, forks=a.forks, runs=a.runs),
        "distant": lambda work, a: distant.measure(work, runs=a.runs),
        "cost": lambda work, a: cost.measure(work, runs=a.runs),
        "engine": lambda work, a: engine.measure(work, sizes=[int(s) for s in a.sizes.split(",")], runs=a.runs),
        "starting": lambda work, a: starting.measure(work, runs=max(a.runs, 9)),
        "inventories": lambda work, a: large_inventories.measure(work, runs=max(a.runs, 5)),
        "transfer": lambda work, a: transfer.measure(work, size=a.mebibytes, runs=a.runs),
    }


def main() -> None:
    """Measure and write."""
    wanted = arguments()
    about = machine.description()
    if os.getloadavg()[0] > 1:
        print(f"the machine is busy (load {os.getloadavg()[0]:.1f}): the figures will be worse than they could be")
    peers.CACHE.mkdir(parents=True, exist_ok=True)
    for package in (opsflow, opsflow_tasks):  # as pip does with what it installs, and has done with the others
        compileall.compile_dir(Path(package.__file__).parent, quiet=1)
    reports: list[Report] = []
    for name, measure in _benchmarks().items():
        if name in (wanted.names or _benchmarks()):
            print(f"{name}:", flush=True)
            with tempfile.TemporaryDirectory(prefix="run-", dir=peers.CACHE) as work:
                found = measure(Path(work), wanted)
            print(*(report.markdown() for report in found), sep="\n\n", end="\n\n", flush=True)
            reports += found
    results = wanted.results or (None if wanted.names else RESULTS)
    if results:
        results.write_text(_document(about, reports), encoding="utf-8")


def _document(about: str, reports: Sequence[Report]) -> str:
    command = shlex.join(["python", "benchmarks/run.py", *sys.argv[1:]])
    others = ", ".join(f"{name} {version}" for name, version in peers.versions().items()) or "not needed"
    parts = [
        "# Results",
        f"Made by `{command}` on {datetime.now(UTC):%Y-%m-%d}. {READING}",
        f"- Machine: {about}\n- {machine.versions()}\n- The others' environment: {others}",
        *(report.markdown() for report in reports),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
