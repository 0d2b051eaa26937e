"""The exchange of a server's release as what is interrupted, and what has to be true afterwards."""

from kills import Subject
from service_ground import NEW, OLD, TASKS

_EXCHANGE = [f"stop {OLD}", f"start {NEW}"]
_ALL_BACK = [*_EXCHANGE, f"stop {NEW}", f"start {OLD}"]
_BACK = ([], [f"stop {OLD}", f"start {OLD}"], _ALL_BACK)
"""What a server may have gone through when its release is the old one again: each at most once."""


class Exchange(Subject):
    """A server's release exchanged.

    Args:
        served: The server, whose old release is live.
    """

    def __init__(self, served):
        super().__init__(served.backend, served.ground, TASKS)
        self._served = served

    def begin(self):
        """See `Subject`."""
        (self._served.target.home / "witness").write_text("")

    def kill_runner(self):
        """See `Subject`."""
        self._served.kill_runner()

    def changed(self, played):
        """See `Subject`."""
        return self._wrong(NEW, [_EXCHANGE])

    def put_back(self, played, *, through):
        """See `Subject`."""
        return self._wrong(OLD, [_ALL_BACK] if through else _BACK)

    def _wrong(self, release, allowed):
        one, seen = self._served, self._served.witness()
        wrong = {
            f"{one.live()} is live, not {release}": one.live() != release,
            f"the server answers {one.answer()}, not {release}": one.answer() != release,
            f"there are {len(one.servers())} servers": len(one.servers()) != 1,
            f"the witness says {seen}": seen not in list(allowed),
            f"there is left: {one.left_over()}": bool(one.left_over()),
        }
        return [what for what, is_so in wrong.items() if is_so]
