"""What a command costs that does next to nothing."""

import sys
from pathlib import Path

from hosts import OPSFLOW, playbook
from measuring import Bar, Report, median, run_process, spread, take_turns

HOSTS = 10_000


def measure(work: Path, *, runs: int) -> list[Report]:
    """Start-up, and reading a large inventory."""
    book = playbook(work / "starting.toml", steps=5, per="host")
    tables = work / "tables.toml"
    tables.write_text(
        "".join(
            f'[hosts."host-{n:05}.example.com"]\naddress = "10.{n >> 16}.{n >> 8 & 255}.{n & 255}"\n'
            for n in range(1, HOSTS + 1)
        )
    )
    ranges = work / "ranges.toml"
    ranges.write_text(f'[groups.nodes]\nhosts = ["host-[00001:{HOSTS}].example.com"]\n')
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import typer, rich'": [sys.executable, "-c", "import typer, rich"],
        "opsflow --help": [OPSFLOW, "--help"],
        f"opsflow validate, an inventory of {HOSTS:,} tables": [OPSFLOW, "validate", book, "-i", tables],
        f"opsflow validate, an inventory of a range of {HOSTS:,}": [OPSFLOW, "validate", book, "-i", ranges],
    }
    samples = take_turns({name: lambda c=words: run_process(c, cwd=work) for name, words in commands.items()}, runs)
    _, imports, help_, by_table, by_range = (median(found) for found in samples.values())
    return [
        Report(
            title="Starting",
            head=("", "wall: median (least to most)"),
            rows=[[name, spread(found)] for name, found in samples.items()],
            bars=[
                Bar(
                    what="`opsflow --help` against importing typer and rich",
                    measured=help_ / imports,
                    most=1.5,
                    unit="times",
                ),
                Bar(what=f"validate, {HOSTS:,} tables", measured=by_table, most=1.0, unit="s"),
                Bar(what=f"validate, a range of {HOSTS:,}", measured=by_range, most=1.0, unit="s"),
            ],
        )
    ]
