"""What a login shell does before a command begins: it may say something, read something, or start another shell.

Therefore the first line of every input is one that ends a shell which should not read it, and a command of ours that
does not find it in its place ends too: nothing that follows is ever taken for commands. And a command says that it
has begun, so that what was said before is no output of it, and an end before is no status of it.
"""

import io

from opsflow.errors import Unreachable
from opsflow.transport.process import Capture

GUARD = "exit 97 #"
"""How the first line begins: `sh`, `csh` and `fish` end with it."""
FIRST = (
    "unset -f command echo kill printf read sh true; read -r _o1 _o2 _o3 _on _ot; "
    '[ "$_o1 $_o2 $_o3" = "exit 97 #" ] || { echo "something else read its input" >&2; exit 97; };'
)
"""What a command of ours begins with: the rest of the line is `_on` and `_ot`. Where `sh` is bash, a login shell may
have given it functions with names of builtins."""

_KEPT = 4096
_LINE = 300
_HINT = (
    "nothing was started; try `ssh HOST true`: the login shell's start-up files (.bashrc, .cshrc, config.fish) may not "
    "read the input, become another shell or end"
)


class Cut(Unreachable):
    """The connection was lost before anything began: another one may hold."""


class Opening(Capture):
    """Keeps the end of what comes before a mark; what follows goes on.

    Args:
        stream: `stdout` or `stderr`.
        mark: The line that a command begins with.
        then: Who takes what follows.
    """

    def __init__(self, stream: str, mark: bytes, then: Capture) -> None:
        super().__init__(stream, _KEPT)
        self._mark = mark + b"\n"
        self._then = then
        self.begun = False

    def feed(self, data: bytes) -> None:
        """Take a piece; an empty one is the end."""
        if self.begun or not data:
            self._then.feed(data)
            return
        before, mark, rest = (self.data + data).partition(self._mark)
        self._kept = io.BytesIO()
        self._kept.write(before[-_KEPT:])
        self.begun = bool(mark)
        if rest:
            self._then.feed(rest)


def unopened(where: str, *said: bytes, otherwise: str = "") -> Unreachable:
    """No command began.

    Args:
        where: How messages name the host.
        said: What was said instead; of the first that says anything, the last line is passed on.
        otherwise: What is known if nothing was said; empty: its login shell has ended.
    """
    lines = [line for text in said for line in text.decode("utf-8", "replace").strip().splitlines()[-1:]]
    why = lines[0][:_LINE] if lines else otherwise or "its login shell ended before one began"
    return Unreachable(f"{where} starts no commands: {why}", hint=_HINT)
