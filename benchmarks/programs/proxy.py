"""Delays TCP connections as a long way would. Usage: ROUND_TRIP_SECONDS ADDRESS:PORT...

Prints the port for each of the places on one line of JSON, then works until its standard input ends. Half the round
trip goes into each direction; a connection is charged one before it carries anything. For at most 30 connections.
"""

import asyncio
import json
import sys
from contextlib import suppress


async def pump(reader, writer, delay):
    loop = asyncio.get_running_loop()
    waiting = asyncio.Queue()

    async def deliver():
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                writer.close()
                return
            writer.write(data)

    delivery = asyncio.create_task(deliver())
    data = b"-"
    while data:
        try:
            data = await reader.read(65536)
        except OSError:
            data = b""
        waiting.put_nowait((loop.time() + delay, data))
    await delivery


async def serve(place, round_trip):
    address, _, port = place.rpartition(":")

    async def accepted(reader, writer):
        await asyncio.sleep(round_trip)
        far_reader, far_writer = await asyncio.open_connection(address, int(port))
        with suppress(OSError):
            await asyncio.gather(pump(reader, far_writer, round_trip / 2), pump(far_reader, writer, round_trip / 2))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def main():
    served = [await serve(place, float(sys.argv[1])) for place in sys.argv[2:]]
    print(json.dumps([port for _, port in served]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
