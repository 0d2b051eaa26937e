"""How a target finds out that something answers as it should."""

import ipaddress
from typing import Annotated

from pydantic import BaseModel, Field, field_validator, model_validator

from opsflow import Duration
from opsflow_tasks._target import Value, hundredths

Status = Annotated[int, Field(ge=100, le=599)]
Line = Annotated[str, Field(pattern=r"^[^\r\n]+$")]

_LONGEST = 45.0
"""Seconds that banner, http and check may take together."""


class Checks(BaseModel):
    """What must be so, seen from the target. All that is given must hold."""

    port: int | None = Field(
        None, ge=1, le=65535, description="TCP port that is open while the server runs, and closed when it is stopped."
    )
    address: str | None = Field(
        None, description="IP address of the target at which `port` is looked for; by default any of its addresses."
    )
    banner: Line | None = Field(
        None,
        description="Text in the first that a server says by itself to whom connects to `port`, like `SSH-2.0`."
        " The target connects with perl, python3, bash, socat or nc, whichever it has.",
    )
    http: str | None = Field(
        None,
        pattern=r"^(/|https?://)[^\s]*$",
        description="What the target asks for with curl or wget: a whole URL, or a path at `port`. Without both, http"
        " (not https) is asked for by what `banner` uses. Redirections are not followed.",
    )
    http_status: Status | list[Status] = Field(200, description="The status that `http` must answer with; or several.")
    http_header: dict[str, Line] = Field(
        default_factory=dict,
        description="Headers that the answer must have, each with a text that must be part of its value.",
    )
    http_body: Line | None = Field(None, description="Text that the answer must contain.")
    check: str | None = Field(None, description="Command that ends with 0 while all is well, and changes nothing.")
    passes: int = Field(1, ge=1, description="How often in a row all of it must hold.")
    every: Duration = Field(0.2, gt=0, description="How long to wait from one of these times to the next.")

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value:
            ipaddress.ip_address(value)
        return value

    @model_validator(mode="after")
    def _port_known(self) -> "Checks":
        if self.http and self.http.startswith("/") and not self.port:
            raise ValueError("a path in `http` needs `port`")
        if self.banner and not self.port:
            raise ValueError("`banner` needs `port`")
        if not self.http and {"http_status", "http_header", "http_body"} & self.model_fields_set:
            raise ValueError("`http_status`, `http_header` and `http_body` need `http`")
        return self

    @property
    def peer(self) -> str:
        """Whom the target connects to."""
        return self.address or "127.0.0.1"

    @property
    def url(self) -> str | None:
        """What to ask."""
        if not self.http or not self.http.startswith("/"):
            return self.http
        return f"http://{f'[{self.peer}]' if ':' in self.peer else self.peer}:{self.port}{self.http}"

    @property
    def seconds(self) -> float:
        """How long it may take until all of it has held so often as it must."""
        return self.passes * (self.every + _LONGEST)

    @property
    def checked(self) -> dict[str, Value]:
        """Values for the scripts `ports`, `talk` and `checks`."""
        statuses = self.http_status if isinstance(self.http_status, list) else [self.http_status]
        return {
            "port": self.port,
            "port_hex": f"{self.port:04X}" if self.port else None,
            "peer": self.peer,
            "addresses": " ".join(kernel_addresses(self.address)) if self.address else None,
            "banner": self.banner,
            "http": self.url,
            "http_status": " ".join(map(str, statuses)),
            "http_header": "\n".join(f"{name}: {text}" for name, text in self.http_header.items()),
            "http_body": self.http_body,
            "check": self.check,
            "passes": self.passes,
            "every": hundredths(self.every),
        }


def kernel_addresses(address: str) -> list[str]:
    """An IP address as `/proc/net/tcp` and `tcp6` may write it, in the machine's byte order (both are given).

    Sockets that listen at every address are included. Format: Linux, `net/ipv4/tcp_ipv4.c`, `get_openreq4`.
    """
    ip = ipaddress.ip_address(address)
    forms = [ip.packed]
    if isinstance(ip, ipaddress.IPv4Address):
        forms.append(ipaddress.IPv6Address(f"::ffff:{address}").packed)
    little = ["".join(p[at : at + 4][::-1].hex() for at in range(0, len(p), 4)) for p in forms]
    found = [*little, *(p.hex() for p in forms), "0" * 32]
    if isinstance(ip, ipaddress.IPv4Address):
        found.append("0" * 8)
    return [text.upper() for text in found]
