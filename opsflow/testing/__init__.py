"""For the tests of opsflow and of plugins: a context without an engine, and a fleet of real ssh servers."""

from opsflow.testing.context import make_context
from opsflow.testing.sshd import SshdFleet

__all__ = ["SshdFleet", "make_context"]
