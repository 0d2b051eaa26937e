"""For the tests of opsflow and of plugins: a context without an engine, what tasks promise, ssh servers, machines."""

from opsflow.testing.conformance import Case, check_conformance
from opsflow.testing.context import make_context
from opsflow.testing.machines import MachineFleet
from opsflow.testing.sshd import SshdFleet

__all__ = ["Case", "MachineFleet", "SshdFleet", "check_conformance", "make_context"]
