"""Prints what `ansible-inventory --list` says of each inventory named, as one JSON object; Ansible is imported once."""

import io
import json
import os
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path


def listed(source: str) -> dict:
    from ansible.cli.inventory import InventoryCLI

    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        InventoryCLI(["ansible-inventory", "-i", source, "--list"]).run()
    return json.loads(printed.getvalue())


def in_a_process_of_its_own(source: str) -> dict:
    """Ansible keeps an inventory for a process's whole life."""
    reading, writing = os.pipe()
    if not os.fork():
        try:
            answer = json.dumps(listed(source))
        except BaseException as error:
            answer = json.dumps({"failed": repr(error)})
        with open(writing, "w") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        answer = json.load(pipe)
    os.wait()
    return answer


if __name__ == "__main__":
    import ansible.cli.inventory  # noqa: F401 - before the forks

    print(json.dumps({str(Path(source)): in_a_process_of_its_own(source) for source in sys.argv[1:]}))
