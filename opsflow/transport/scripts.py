"""Scripts for a POSIX shell, and how one is handed to it over its standard input.

The command line that is started is the same for every command and holds nothing of it, since command lines can be read
by everybody on the target. Standard input begins with two lines: the guard of `opening` with a mark to say on both
streams and the timeout in whole seconds (or nothing), and the script, its backslashes and newlines escaped; what
follows is the input of the command.

Two shells: the inner one reads the script and is the command's own; the outer one keeps the time. Both are in one
process group (an ssh server makes one per command, `LocalTransport` too), which gets SIGTERM when the time is over and
SIGKILL a little later. The outer shell goes with it, and that is the sign of a timeout: it never ends by a signal
otherwise.
"""

import re
import shlex
from collections.abc import Mapping
from importlib.resources import files

from opsflow.transport.opening import FIRST

# The outer shell says "Killed" and the like about the inner one; that is no output of the command, hence descriptor 3.
INNER = 'exec 2>&3 3>&-; IFS= read -r _opsflow && eval "$(printf %b "$_opsflow")"'
OUTER = f"""
{FIRST}
_ox=; echo "$_on"; echo "$_on" >&2;
if [ "$_ot" ]; then
    trap _ox=1 USR1; trap : TERM;
    (
        trap "kill -9 \\$! 2>/dev/null; exit" HUP; trap "" TERM USR1;
        sleep "$_ot" & wait $!; kill -s USR1 $$; kill -s TERM 0;
        sleep 5 & wait $!; kill -s KILL 0
    ) </dev/null >/dev/null 2>&1 & _ow=$!;
fi;
exec 3>&2 2>/dev/null;
sh -c "$1" 3>&3; _or=$?;
if [ "$_ox" ]; then sleep 1; kill -s KILL 0; fi;
if [ "$_ot" ]; then kill -s HUP "$_ow"; fi;
exit "$_or"
"""
OUTER = " ".join(OUTER.split())  # one line: csh as a login shell takes no more
ARGUMENTS = ("sh", "-c", OUTER, "sh", INNER)
"""The fixed command: an argument vector, and for a login shell `COMMAND`."""
COMMAND = f"exec {shlex.join(ARGUMENTS)}"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# $1 path, $2 how many bytes
GET = """
[ ! -d "$1" ] || { echo "$1: is a directory" >&2; exit 1; }
head -c "$2" -- "$1"
"""
TAIL = files("opsflow.transport").joinpath("tail.sh").read_text(encoding="utf-8")
IDENTITY = """
cat /etc/machine-id 2>/dev/null || echo -
cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo -
uname -n
"""


def script(command: str, env: Mapping[str, str] | None = None, cwd: str | None = None) -> bytes:
    """A command with its environment and directory, as the line that the inner shell reads.

    Raises:
        ValueError: something holds a NUL, or a variable has a name that the shell does not take.
    """
    text = script_text(env, cwd, command)
    return text.replace("\\", "\\\\").replace("\n", "\\n").encode("utf-8", "surrogateescape") + b"\n"


def script_text(env: Mapping[str, str] | None = None, cwd: str | None = None, command: str = "") -> str:
    """The same before it is made one line; empty if there is nothing to do."""
    lines = []
    for name, value in (env or {}).items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of an environment variable")
        lines.append(f"export {name}={shlex.quote(value)}")
    if cwd is not None:
        lines.append(f"CDPATH= cd -- {shlex.quote(cwd)} || exit")
    text = "\n".join((*lines, command)) if command else "\n".join(lines)
    if "\0" in text:
        raise ValueError("a command cannot hold a NUL character")
    return text


def last_lines(text: str, count: int) -> list[str]:
    """The last lines of a text, without their newlines."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines[-count:] if count > 0 else []
