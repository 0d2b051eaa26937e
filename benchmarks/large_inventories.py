"""What a large inventory costs, in each form that it can have."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hosts import OPSFLOW, PROGRAMS, playbook
from measuring import Bar, Report, median, run_process, shown, spread, take_turns

HOSTS, GROUPS = 10_000, 500
STEPS = 10


def measure(work: Path, *, runs: int) -> list[Report]:
    """`opsflow validate` with 10,000 hosts in 500 groups, and with twice as many of both."""
    book = playbook(work / "inventories.toml", steps=5, per="host")
    commands = {}
    for form, write in FORMS.items():
        for factor in (1, 2):
            path = write(work / f"big-{factor}", HOSTS * factor, GROUPS * factor)
            commands[form, factor] = [OPSFLOW, "validate", book, "-i", path]
    contenders = {
        f"{form}, {HOSTS * factor:,} hosts in {GROUPS * factor:,} groups": lambda c=words: run_process(c, cwd=work)
        for (form, factor), words in commands.items()
    }
    samples = take_turns(contenders, runs)
    walls = dict(zip(commands, map(median, samples.values()), strict=True))
    bars = [
        Bar(what=f"validate, {HOSTS:,} hosts, {form}", measured=walls[form, 1], most=1.0, unit="s") for form in FORMS
    ]
    bars += [
        Bar(
            what=f"twice the hosts and groups, {form}", measured=walls[form, 2] / walls[form, 1], most=2.2, unit="times"
        )
        for form in FORMS
    ]
    rows = [[name, spread(found)] for name, found in samples.items()]
    return [
        Report(title="Inventories", head=("opsflow validate", "wall: median (least to most)"), rows=rows, bars=bars),
        _compiling(work, runs),
    ]


def _compiling(work: Path, runs: int) -> Report:
    """From the files to the plan that a run follows, in a process that has imported what it needs."""
    book = playbook(work / "ten.toml", steps=STEPS, per="host")
    sizes = (HOSTS, 2 * HOSTS)
    contenders = {
        f"{n:,} hosts x {STEPS} steps": lambda n=n: run_process(
            [sys.executable, PROGRAMS / "compiling_opsflow.py", book, _native(work / f"ten-{n}", n, n // 20)], cwd=work
        )
        for n in sizes
    }
    samples = take_turns(contenders, runs)
    took = [median(found, lambda sample: sample.said["seconds"]) for found in samples.values()]
    return Report(
        title="Compiling",
        head=("files read, plan made", "seconds: median", "nodes"),
        rows=[
            [name, shown(s), f"{found[0].said['nodes']:,}"]
            for (name, found), s in zip(samples.items(), took, strict=True)
        ],
        bars=[
            Bar(what=f"{HOSTS:,} hosts x {STEPS} steps", measured=took[0], most=3.0, unit="s"),
            Bar(what="twice the hosts", measured=took[1] / took[0], most=2.2, unit="times"),
        ],
    )


def _members(hosts: int, groups: int) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Groups with the names and addresses of their hosts."""
    for group in range(groups):
        yield (
            f"group_{group:04}",
            [
                (f"host-{n:05}.example.com", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
                for n in range(group, hosts, groups)
            ],
        )


def _native(path: Path, hosts: int, groups: int) -> Path:
    lines = []
    for group, members in _members(hosts, groups):
        lines += [
            f"[groups.{group}]",
            f"hosts = {json.dumps([name for name, _ in members])}",
            f'vars = {{ shard = "{group}" }}',
        ]
        lines += [f'[hosts."{name}"]\naddress = "{address}"' for name, address in members]
    return _written(path.with_suffix(".toml"), lines)


def _ini(path: Path, hosts: int, groups: int) -> Path:
    lines = []
    for group, members in _members(hosts, groups):
        lines += [f"[{group}]", *(f"{name} ansible_host={address}" for name, address in members)]
        lines += [f"[{group}:vars]", f"shard={group}"]
    return _written(path.with_suffix(".ini"), lines)


def _yaml(path: Path, hosts: int, groups: int) -> Path:
    lines = []
    for group, members in _members(hosts, groups):
        lines += [f"{group}:", f"  vars: {{shard: {group}}}", "  hosts:"]
        lines += [f"    {name}:\n      ansible_host: {address}" for name, address in members]
    return _written(path.with_suffix(".yml"), lines)


def _written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


FORMS: Mapping[str, Callable[[Path, int, int], Path]] = {"TOML": _native, "INI": _ini, "YAML": _yaml}
