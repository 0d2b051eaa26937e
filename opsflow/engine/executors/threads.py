"""Jobs in threads of this process."""

import queue
import threading
from collections.abc import Sequence

from opsflow.model import Job, Log, Message, Outcome, Output
from opsflow.ports import Perform

_BACKLOG = 10_000
_BACKLOG_TEXT = 4 << 20
"""Messages, and characters in them, that wait for the engine; a task that prints faster waits: memory stays bounded."""


class ThreadExecutor:
    """At most `forks` jobs at a time, each in a thread; threads are made when first needed and kept.

    They are daemons: a process that detaches from its jobs does not wait for them.
    """

    def __init__(self, perform: Perform, *, forks: int) -> None:
        self._perform = perform
        self._forks = forks
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._messages = _Mailbox()
        self._running = 0
        self._threads: list[threading.Thread] = []

    @property
    def free(self) -> int:
        """How many more jobs it takes now."""
        return self._forks - self._running

    def submit(self, job: Job) -> None:
        """Begin a job."""
        self._running += 1
        if self._running > len(self._threads):
            thread = threading.Thread(target=self._work, name=f"opsflow-{len(self._threads) + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)

    def cancel(self, job: Job) -> None:
        """End a job; a thread of its own talks to the job's host."""
        threading.Thread(target=self._perform.cancel, args=(job,), name="opsflow-cancel", daemon=True).start()

    def messages(self, timeout: float) -> Sequence[Message]:
        """What has come in; waits up to `timeout` seconds for the first."""
        found = self._messages.take(timeout)
        self._running -= sum(isinstance(message, Outcome) for message in found)
        return found

    def close(self) -> None:
        """Let idle threads end; busy ones are not waited for."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._perform(job, self._messages.put)


class _Mailbox:
    """Messages on their way to the engine, which takes all at once."""

    def __init__(self) -> None:
        self._found: list[Message] = []
        self._size = 0
        self._changed = threading.Condition()

    def put(self, message: Message) -> None:
        """Add a message; waits while there are too many."""
        with self._changed:
            while len(self._found) >= _BACKLOG or self._size >= _BACKLOG_TEXT:
                self._changed.wait()
            self._found.append(message)
            self._size += len(message.text) if isinstance(message, Output | Log) else 0
            self._changed.notify_all()

    def take(self, timeout: float) -> list[Message]:
        """All that there is; waits up to `timeout` seconds for the first."""
        with self._changed:
            if not self._found:
                self._changed.wait(timeout)
            found, self._found, self._size = self._found, [], 0
            self._changed.notify_all()
        return found
