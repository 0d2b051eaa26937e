"""One job after another, in the engine's own thread."""

import time
from collections import deque
from collections.abc import Sequence

from opsflow.model import Job, Message
from opsflow.ports import Perform


class SerialExecutor:
    """Works on a job when its messages are asked for; one at a time, in the order in which they came."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform
        self._jobs: deque[Job] = deque()

    @property
    def free(self) -> int:
        """1 when there is nothing to do."""
        return 0 if self._jobs else 1

    def submit(self, job: Job) -> None:
        """Put a job in line."""
        self._jobs.append(job)

    def messages(self, timeout: float) -> Sequence[Message]:
        """Work on the first job to its end; without one, wait."""
        found: list[Message] = []
        if self._jobs:
            self._perform(self._jobs[0], found.append)
            self._jobs.popleft()
        else:
            time.sleep(timeout)
        return found

    def close(self) -> None:
        """Forget what was not begun."""
        self._jobs.clear()
