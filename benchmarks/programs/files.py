"""Send or fetch files with opsflow's ssh transport, as a task's hook does.

Usage: put|get|fetch HOSTS_JSON KNOWN_HOSTS SOURCE DESTINATION TIMES.
"""

import hashlib
import json
import os
import secrets
import sys
from pathlib import Path

from opsflow.model import Connection, Host, Operation
from opsflow.transport.ssh import SshTransport


def main():
    way, hosts, known_hosts, source, destination, times = sys.argv[1:]
    data = json.loads(Path(hosts).read_text())
    first = data["hosts"][0]
    connection = Connection(
        address=first["address"],
        port=first["port"],
        user=data["user"],
        key_file=data["key_file"],
        known_hosts=known_hosts,
    )
    transport = SshTransport(Host(name="host", connection=connection))
    run = f"run-{secrets.token_hex(8)}"
    transport.claim(run, 1)
    for number in range(1, int(times) + 1):
        if way == "get":
            Path(destination).write_bytes(transport.get(source))
            continue
        if way == "fetch":
            with Path(destination).open("wb") as stream:
                transport.fetch(source, stream)
                stream.flush()
                os.fsync(stream.fileno())
            continue
        with Path(source).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            op = Operation(run=run, epoch=1, attempt="attempt", number=number, digest=digest)
            transport.put(stream, destination, digest=digest, op=op)
    transport.release()
    transport.close()


main()
