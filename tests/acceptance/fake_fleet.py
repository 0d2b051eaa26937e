"""A fleet of fakes under the whole product: files, plan, engine and journal are the real ones, the hosts are not."""

import re
import threading
from pathlib import Path

from opsflow import app
from opsflow.model import CommandResult
from opsflow.transport.fake import FakeTransport

ROOT = Path(__file__).parents[2]


class FakeFleet:
    """In the place of a run's transports. Every command succeeds and says nothing, unless it was told otherwise.

    Attributes:
        done: What was run, as `HOST: COMMAND`, in order.
    """

    def __init__(self):
        self.done = []
        self._answers = []
        self._hosts = {}
        self._lock = threading.RLock()
        self._dark_at = {}

    def __call__(self, hosts, **_):
        return self

    def to(self, host, become=""):
        with self._lock:
            if host not in self._hosts:
                commands = [("", lambda asked, host=host: self._answer(host, asked.subject))]
                self._hosts[host] = FakeTransport(name=host, commands=commands)
            return self._hosts[host]

    def release(self):
        for host in self._hosts.values():
            host.release()

    def close(self):
        pass

    def says(self, command, text="", *, host="", status=0, times=None):
        """How a command that is named by a regular expression ends, on one host or on all; so many times or always."""
        result = CommandResult(exit_status=status, stdout=text)
        self._answers.append([host, re.compile(command), result, times])

    def mend(self):
        """All is well from now on; the hosts were booted, and nothing of earlier runs is left on them."""
        self._answers.clear()
        self._dark_at.clear()
        self._hosts.clear()

    def dark(self, host, *, at=""):
        """A host answers no more: at once, or as soon as it is asked for a command."""
        if at:
            self._dark_at[host] = re.compile(at)
        else:
            self.to(host).unreachable = True

    def on(self, host):
        """What was run on a host, in order."""
        return [line.partition(": ")[2] for line in self.done if line.startswith(f"{host}: ")]

    def _answer(self, host, command):
        with self._lock:
            if host in self._dark_at and self._dark_at[host].search(command):
                self._hosts[host].unreachable = True
                self._hosts[host].reach()
            self.done.append(f"{host}: {command}")
            for answer in self._answers:
                where, pattern, result, times = answer
                if where in ("", host) and times != 0 and pattern.search(command):
                    answer[3] = times and times - 1
                    return result
            return CommandResult(exit_status=0)


class Maintenance:
    """The playbooks of `playbooks/maintenance`, run by the use cases on a fleet of fakes.

    Attributes:
        fleet: The fleet.
    """

    def __init__(self, directory, monkeypatch):
        self.fleet = FakeFleet()
        monkeypatch.setattr("opsflow.app.wiring.HostTransports", self.fleet)
        self.settings = app.settings(ROOT, journal=f"sqlite:///{directory}/journal.db")
        self.events = []

    def apply(self, name, *extra, **more):
        """Run one; how it ended."""
        path = ROOT / f"playbooks/maintenance/{name}.toml"
        request = app.Request(playbook=path, inventory="maintenance", extra=extra, **more)
        return app.apply(request, self.settings, [self.events.append], confirm=None)

    def resume(self):
        """Go on."""
        return app.resume(None, self.settings, [self.events.append])

    def approve(self, **more):
        """Answer what it waits for."""
        return app.approve(app.show(None, self.settings).run.id, None, self.settings, **more)

    @property
    def states(self):
        """The nodes' states by id."""
        return {node.id: str(node.state) for node in app.show(None, self.settings).nodes}
