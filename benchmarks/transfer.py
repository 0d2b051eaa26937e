"""Sending and fetching large files."""

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from hosts import PROGRAMS, Hosts, fleet
from measuring import Bar, MiB, Report, Sample, median, run_process, shown, spread, take_turns

_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server")
_FETCHED = 64
"""MiB: the largest file that a task may read into memory."""


def measure(work: Path, *, size: int, runs: int) -> list[Report]:
    """opsflow's `put`, `fetch` and `get` against sftp and a bare `cat`, on the same host and disk; `size` in MiB."""
    source, there, back = work / "source", work / "there", work / "back"
    with fleet(work / "fleet", 1) as targets:
        _fill(source, size)
        sent = take_turns(_contenders(work, targets, "put", source, there, 1), runs)
        _compare(source, there)
        fetched = take_turns(_contenders(work, targets, "fetch", there, back, 1), runs)
        _compare(there, back)
        _fill(there, _FETCHED)
        times = max(size // _FETCHED, 1)
        got = take_turns(_contenders(work, targets, "get", there, back, times), runs)
        _compare(there, back)
    return [
        _report(
            sent,
            size,
            way="put",
            title=f"Sending a file of {size} MiB",
            notes="opsflow hashes the file on both sides, syncs it to the disk and renames it; the others do not.",
        ),
        _report(
            fetched,
            size,
            way="fetch",
            title=f"Fetching a file of {size} MiB",
            notes="opsflow hashes what comes and syncs it to the disk; the others do not.",
        ),
        _report(
            got,
            times * _FETCHED,
            way="get",
            title=f"Reading a file of {_FETCHED} MiB, {times} times",
            notes="The largest that a task may read with `get`: into memory; the others write it to a file at once.",
        ),
    ]


def _contenders(
    work: Path, targets: Hosts, way: str, source: Path, destination: Path, times: int
) -> Mapping[str, Callable[[], Sample]]:
    ((address, port),) = targets.places.values()
    options = [
        *("-i", targets.key_file, "-o", f"UserKnownHostsFile={targets.known_hosts}", "-o", "BatchMode=yes"),
        *("-F", "none", "-o", f"Port={port}"),
    ]
    account = f"{targets.user}@{address}"
    batch = work / f"batch-{way}"
    verb = "put" if way == "put" else "get"
    batch.write_text(f"{verb} {source} {destination}\n" * times)
    server = next(path for path in _SERVERS if Path(path).exists())
    ssh = f"ssh {shlex.join(options)} {account}"
    cat = {"put": f"{ssh} 'cat > {destination}' < {source}", "get": f"{ssh} 'cat {source}' > {destination}"}[verb]
    commands = {
        f"opsflow {way}": [
            *(sys.executable, PROGRAMS / "files.py", way, targets.plain(work / "hosts.json"), targets.known_hosts),
            *(source, destination, times),
        ],
        "sftp": ["sftp", "-q", "-b", batch, *options, "-s", server, account],
        "ssh, cat": ["sh", "-e", "-c", "\n".join([cat] * times)],
    }
    return {name: lambda c=words: run_process(c, cwd=work) for name, words in commands.items()}


def _report(samples: Mapping[str, list[Sample]], size: int, *, way: str, title: str, notes: str) -> Report:
    speed = {name: size / median(found) for name, found in samples.items()}
    measured = speed[f"opsflow {way}"] / speed["sftp"]
    return Report(
        title=title,
        notes=notes,
        head=("", "wall: median (least to most)", "MiB/s", "own CPU"),
        rows=[
            [name, spread(found), shown(speed[name]), f"{shown(median(found, lambda s: s.cpu))} s"]
            for name, found in samples.items()
        ],
        bars=[Bar(what=f"throughput of {way} against sftp", measured=measured, least=0.8, unit="times")],
    )


def _fill(path: Path, size: int) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        for _ in range(size):
            file.write(os.urandom(MiB))


def _compare(first: Path, second: Path) -> None:
    if first.stat().st_size != second.stat().st_size:
        raise RuntimeError("what arrived is not what was sent")
