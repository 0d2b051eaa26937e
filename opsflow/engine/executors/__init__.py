"""Places where jobs are worked on: the same function, called elsewhere."""

from opsflow.engine.executors.serial import SerialExecutor
from opsflow.engine.executors.threads import ThreadExecutor

__all__ = ["SerialExecutor", "ThreadExecutor"]
