"""Sending a large file."""

import os
import shlex
import sys
from pathlib import Path

from hosts import PROGRAMS, fleet
from measuring import Bar, MiB, Report, median, run_process, shown, spread, take_turns

_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server")


def measure(work: Path, *, size: int, runs: int) -> list[Report]:
    """opsflow's `put` against sftp and a bare `cat`, to the same host and disk; `size` in MiB."""
    source = work / "source"
    with source.open("wb") as file:
        for _ in range(size):
            file.write(os.urandom(MiB))
    destination = work / "destination"
    with fleet(work / "fleet", 1) as targets:
        ((address, port),) = targets.places.values()
        options = [
            *("-i", targets.key_file, "-o", f"UserKnownHostsFile={targets.known_hosts}", "-o", "BatchMode=yes"),
            *("-F", "none", "-o", f"Port={port}"),
        ]
        there = f"{targets.user}@{address}"
        batch = work / "batch"
        batch.write_text(f"put {source} {destination}\n")
        server = next(path for path in _SERVERS if Path(path).exists())
        cat = f"ssh {shlex.join(options)} {there} {shlex.quote(f'cat > {destination}')} < {source}"
        commands = {
            "opsflow put": [
                *(sys.executable, PROGRAMS / "put.py", targets.plain(work / "hosts.json"), targets.known_hosts),
                *(source, destination),
            ],
            "sftp": ["sftp", "-q", "-b", batch, *options, "-s", server, there],
            "ssh, cat > file": ["sh", "-c", cat],
        }
        samples = take_turns({name: lambda c=words: run_process(c, cwd=work) for name, words in commands.items()}, runs)
        if destination.stat().st_size != source.stat().st_size:
            raise RuntimeError("what arrived is not what was sent")
    speed = {name: size / median(found) for name, found in samples.items()}
    return [
        Report(
            title=f"Sending a file of {size} MiB",
            notes="opsflow hashes the file on both sides, syncs it to the disk and renames it; the others do not.",
            head=("", "wall: median (least to most)", "MiB/s", "own CPU"),
            rows=[
                [name, spread(found), shown(speed[name]), f"{shown(median(found, lambda s: s.cpu))} s"]
                for name, found in samples.items()
            ],
            bars=[
                Bar(
                    what="throughput against sftp",
                    measured=speed["opsflow put"] / speed["sftp"],
                    least=0.8,
                    unit="times",
                )
            ],
        )
    ]
