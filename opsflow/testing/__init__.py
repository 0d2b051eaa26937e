"""For the tests of opsflow and of plugins: a context without an engine, real ssh servers, real machines."""

from opsflow.testing.context import make_context
from opsflow.testing.machines import MachineFleet
from opsflow.testing.sshd import SshdFleet

__all__ = ["MachineFleet", "SshdFleet", "make_context"]
