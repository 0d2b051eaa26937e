"""The program that `notify` runs on the control machine, so that a message is an operation: sent at most once.

`check`: reads addresses from the environment, prints a JSON list of what is wrong with them.
`send`: reads a message and its addresses from standard input, prints as JSON who got it, and who did not and why.
"""

import json
import logging
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any


class _Said(logging.Handler):
    """Keeps what apprise says of a failure: it returns only that there was one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def main(verb: str) -> None:
    """Check addresses, or send a message."""
    if verb == "check":
        json.dump(_problems(json.loads(os.environ["OPSFLOW_NOTIFY"])), sys.stdout)
    else:
        json.dump(_send(json.load(sys.stdin)), sys.stdout)


def _problems(addresses: Mapping[str, Any]) -> list[str]:
    """No address is repeated here: it may hold a token."""
    found = []
    if addresses["webhook"] and urllib.parse.urlsplit(addresses["webhook"]).scheme not in {"http", "https"}:
        found.append("`webhook` is no http:// or https:// URL")
    if addresses["to"] and find_spec("apprise") is None:
        return [*found, "`to` needs the library apprise: pip install 'opsflow[notify]'"]
    for number, url in enumerate(addresses["to"], start=1):
        if _service(url) is None:
            found.append(f"URL {number} of `to` is none that apprise understands")
    return found


def _send(order: Mapping[str, Any]) -> dict[str, Any]:
    sent, failed = [], {}
    news = order["news"]
    said = _Said()
    logging.getLogger("apprise").addHandler(said)
    for number, url in enumerate(order["to"], start=1):
        service = _service(url)
        name = f"{service.service_name if service else 'URL'} ({number})"
        said.last = ""
        if service and service.notify(body=news["message"], title=news["title"], notify_type=news["level"]):
            sent.append(name)
        else:
            failed[name] = said.last or "it was not taken"
    if order["webhook"]:
        if why := _post(order["webhook"], order["headers"], {**news, **order["origin"]}, order["timeout"]):
            failed["webhook"] = why
        else:
            sent.append("webhook")
    return {"sent": sent, "failed": failed}


def _service(url: str) -> Any:
    """What apprise makes of a URL; None: nothing."""
    from apprise import Apprise  # noqa: PLC0415 - an extra, and slow to import

    return Apprise.instantiate(url)


def _post(url: str, headers: Mapping[str, str], content: Mapping[str, Any], timeout: float) -> str:
    """Post JSON; why it did not arrive, or an empty text."""
    request = urllib.request.Request(  # noqa: S310 - http or https: checked by the plan
        url, json.dumps(content).encode(), {"Content-Type": "application/json", **headers}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310 - the same
            return ""
    except urllib.error.HTTPError as error:
        return f"it answers {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason)


if __name__ == "__main__":
    main(sys.argv[1])
