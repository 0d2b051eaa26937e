"""A bare fabric loop in a thread pool. Usage: HOSTS_JSON COMMANDS FORKS."""

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fabric
import paramiko


def work(data, host, commands):
    connection = fabric.Connection(
        host["address"],
        user=data["user"],
        port=host["port"],
        connect_kwargs={"key_filename": data["key_file"], "look_for_keys": False, "allow_agent": False},
    )
    kind, key = host["key"].split()
    name = f"[{host['address']}]:{host['port']}"
    connection.client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(key)))
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    with connection:
        for _ in range(commands):
            connection.run("true", hide=True, in_stream=False)


def main():
    data = json.loads(Path(sys.argv[1]).read_text())
    commands, forks = int(sys.argv[2]), int(sys.argv[3])
    with ThreadPoolExecutor(forks) as pool:
        for future in [pool.submit(work, data, host, commands) for host in data["hosts"]]:
            future.result()


main()
