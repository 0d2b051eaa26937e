"""How a command ends: with an exit code, and with an error told in the way its reader understands."""

import json
import sys
import traceback
from collections.abc import Callable

from opsflow.errors import InputError, OpsflowError

INTERRUPTED = 130
_INTERNAL = 1


def ending(call: Callable[[], int], *, machine: bool, debug: bool) -> int:
    """Call, and turn whatever comes into an exit code.

    Args:
        call: The command; returns its exit code.
        machine: Tell errors as JSON, on stderr like the others.
        debug: With tracebacks.
    """
    try:
        return call()
    except OpsflowError as error:
        if debug:
            traceback.print_exc()
        _tell(_as_json(error) if machine else _as_text(error))
        return error.exit_code
    except KeyboardInterrupt:
        _tell("" if machine else "interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost place there is: a bug becomes one line
        if debug:
            traceback.print_exc()
        _tell(_bug(error, machine=machine, debug=debug))
        return _INTERNAL


def _tell(text: str) -> None:
    from opsflow.report.stream import LastingStream  # noqa: PLC0415 - start-up time

    if text:
        LastingStream(sys.stderr).line(text)


def _as_json(error: OpsflowError) -> str:
    from opsflow.report.data import error_data  # noqa: PLC0415 - start-up time

    return json.dumps(error_data(error))


def _as_text(error: OpsflowError) -> str:
    from opsflow.report.text import clean  # noqa: PLC0415 - start-up time

    placed = isinstance(error, InputError) and any(problem.position for problem in error.problems)
    lines = [clean(error.message) if placed else f"error: {clean(error.message)}"]
    if isinstance(error, InputError) and placed:
        count = len(error.problems)
        lines.append(f"error: {count} problems, nothing was done" if count > 1 else "error: nothing was done")
    if error.hint:
        lines.append(f"hint: {clean(error.hint)}")
    return "\n".join(lines)


def _bug(error: Exception, *, machine: bool, debug: bool) -> str:
    from opsflow.report.text import one_line  # noqa: PLC0415 - start-up time

    message = f"internal error: {type(error).__name__}: {one_line(str(error))}"
    hint = "" if debug else "run with --debug"
    if machine:
        return json.dumps({"error": {"type": type(error).__name__, "message": message, "hint": hint, "problems": []}})
    return f"{message}; {hint}" if hint else message
