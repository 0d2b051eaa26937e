"""The host keys that a run has seen: they are written down with its intents."""

import json
from collections.abc import Mapping

from opsflow.engine.run import Run


def seen_keys(run: Run) -> Mapping[str, str]:
    """The key of each host, type and fingerprint, that its newest attempt with one was begun with."""
    return {
        node.host: key
        for node in run.nodes.values()
        for attempt in node.attempts.values()
        if attempt.machine and (key := json.loads(attempt.machine).get("key"))
    }
