"""taskflow with tasks that do nothing. Usage: HOSTS STEPS THREADS [SQLITE_FILE].

The last line is JSON: seconds of each part, nodes, peak memory in bytes.
"""

import json
import resource
import sys
import time

from taskflow import engines, task
from taskflow.patterns import linear_flow, unordered_flow
from taskflow.persistence import backends


class Nothing(task.Task):
    def execute(self):
        pass

    def revert(self, **kwargs):
        pass


def main():
    hosts, steps, threads = map(int, sys.argv[1:4])
    began = time.monotonic()
    flow = unordered_flow.Flow("all")
    for host in range(hosts):
        chain = linear_flow.Flow(f"host-{host}")
        for step in range(steps):
            chain.add(Nothing(f"step-{step}@host-{host}"))
        flow.add(chain)
    backend = None
    if sys.argv[4:]:
        backend = backends.fetch({"connection": f"sqlite:///{sys.argv[4]}"})
        backend.get_connection().upgrade()
    engine = engines.load(flow, engine="parallel", executor="threaded", max_workers=threads, backend=backend)
    engine.compile()
    engine.prepare()
    compiled = time.monotonic()
    engine.run()
    ended = time.monotonic()
    scale = 1 if sys.platform == "darwin" else 1024
    print(
        json.dumps(
            {
                "nodes": hosts * steps,
                "compile": compiled - began,
                "preview": 0.0,
                "begin": 0.0,
                "run": ended - compiled,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale,
            }
        )
    )


main()
