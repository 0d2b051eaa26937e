"""One job after another."""

from opsflow.engine.executors.threads import ThreadExecutor
from opsflow.ports import Perform


class SerialExecutor(ThreadExecutor):
    """Works on one job at a time, in the order in which they came.

    In a thread beside the engine's, which meanwhile hears what the job prints, says that it lives, and sees a stop.
    """

    def __init__(self, perform: Perform) -> None:
        super().__init__(perform, forks=1)
