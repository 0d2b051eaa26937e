"""Many who want the same at the same moment: one starts it, all hear how it ended."""

import threading
from concurrent.futures import ThreadPoolExecutor

CROWD = 8
ROUNDS = 12


def test_of_many_who_start_one_operation_at_once_exactly_one_does(ground, many):
    """Each has a connection of its own, and none of them has asked before."""
    transports = [ground.transport() for _ in range(CROWD)]
    with ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(lambda transport: transport.claim(ground.run, 1), transports))
        for number in range(1, ROUNDS * many + 1):
            op = ground.operation("a", number)
            ready = threading.Barrier(CROWD)

            def start(transport, op=op, number=number, ready=ready):
                ready.wait()
                return transport.run(f"echo {number} >>witness; echo said {number}; exit 3", op=op)

            found = list(pool.map(start, transports))
            assert {(result.exit_status, result.stdout) for result in found} == {(3, f"said {number}\n")}
            assert ground.witness()[str(number)] == 1
    for transport in transports:
        transport.close()
