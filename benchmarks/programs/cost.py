"""CPU of a target per command, milliseconds: through the runner, or by `sh -c`. cost.py KIND COMMANDS DIRECTORY

Everything that the runner starts becomes a child of this process, so that the kernel counts it here. Linux.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from opsflow.model import Operation
from opsflow.transport.local import LocalTransport

_PR_SET_CHILD_SUBREAPER = 36
KINDS = {
    "silent": {"command": ":"},
    "1 KiB of output": {"command": "printf %1024s x"},
    "both streams": {"command": "echo out; echo err >&2"},
    "environment": {"command": ":", "env": {"A": "b"}},
    "input": {"command": "cat >/dev/null", "input": b"some input\n"},
}


def main() -> None:
    kind, commands, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    bare = spent(lambda: shell(kind, commands))
    runner = spent(lambda: operations(kind, commands, directory)) - spent(lambda: operations(kind, 0, directory))
    print(json.dumps({"bare": bare / commands * 1000, "runner": runner / commands * 1000}))


def spent(work: Callable[[], None]) -> float:
    """CPU seconds of all children meanwhile."""
    before = os.times()
    work()
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            break
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def shell(kind: str, commands: int) -> None:
    wanted = KINDS[kind]
    for _ in range(commands):
        subprocess.run(
            ["sh", "-c", wanted["command"]],
            input=wanted.get("input"),
            stdin=None if "input" in wanted else subprocess.DEVNULL,
            env={**os.environ, **wanted.get("env", {})},
            capture_output=True,
            check=True,
        )


def operations(kind: str, commands: int, directory: str) -> None:
    with tempfile.TemporaryDirectory(dir=directory) as home:
        transport = LocalTransport(home)
        transport.claim("run", 1)
        for number in range(commands):
            transport.run(
                **KINDS[kind],
                op=Operation(run="run", epoch=1, attempt=f"run/{number}@host/execute/1", number=1, digest="-"),
            )
        transport.release()
        transport.close()
        time.sleep(0.3)


if __name__ == "__main__":
    main()
