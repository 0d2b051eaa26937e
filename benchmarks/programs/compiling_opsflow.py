"""A playbook compiled for an inventory, as `apply` does it. Usage: PLAYBOOK INVENTORY.

The last line is JSON: seconds from the files to the plan, nodes.
"""

import gc
import json
import sys
import time
from pathlib import Path

from opsflow import app
from opsflow.app import compiling


def main():
    playbook, inventory = map(Path, sys.argv[1:])
    gc.set_threshold(50_000)  # as the command line does
    settings = app.settings(playbook.parent)
    tasks = compiling.registry(settings)
    began = time.monotonic()
    plan = compiling.compiled(playbook, str(inventory), (), tasks, settings=settings)
    print(json.dumps({"seconds": time.monotonic() - began, "nodes": len(plan.nodes)}))


main()
