"""A bare paramiko loop: a connection per host, an exec per command. Usage: HOSTS_JSON COMMANDS FORKS."""

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko


def work(data, host, commands):
    client = paramiko.SSHClient()
    kind, key = host["key"].split()
    name = f"[{host['address']}]:{host['port']}"
    client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(key)))
    client.connect(
        host["address"],
        port=host["port"],
        username=data["user"],
        key_filename=data["key_file"],
        look_for_keys=False,
        allow_agent=False,
    )
    try:
        for _ in range(commands):
            _, out, err = client.exec_command("true")
            out.read(), err.read()
            if out.channel.recv_exit_status():
                raise SystemExit(1)
    finally:
        client.close()


def main():
    data = json.loads(Path(sys.argv[1]).read_text())
    commands, forks = int(sys.argv[2]), int(sys.argv[3])
    with ThreadPoolExecutor(forks) as pool:
        for future in [pool.submit(work, data, host, commands) for host in data["hosts"]]:
            future.result()


main()
