"""Send a file with opsflow's ssh transport. Usage: HOSTS_JSON KNOWN_HOSTS SOURCE DESTINATION."""

import json
import sys
from pathlib import Path

from opsflow.model import Connection, Host
from opsflow.transport.ssh import SshTransport


def main():
    data = json.loads(Path(sys.argv[1]).read_text())
    first = data["hosts"][0]
    connection = Connection(
        address=first["address"],
        port=first["port"],
        user=data["user"],
        key_file=data["key_file"],
        known_hosts=sys.argv[2],
    )
    transport = SshTransport(Host(name="host", connection=connection))
    with Path(sys.argv[3]).open("rb") as source:
        transport.put(source, sys.argv[4])
    transport.close()


main()
