"""What `deploy_app` is told: the artifact, where its releases are, and what runs around them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from opsflow import Duration, LocalPath, Secret, Size
from opsflow_tasks._archive import TAR, BadArtifact
from opsflow_tasks._packing import Measured
from opsflow_tasks._target import Script, Value, hundredths

ID_LENGTH = 12
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_OPTIONS = {"gz": "z", "bz2": "j", "xz": "J"}
_HOOKS = ("after_stage", "before_switch", "after_switch")
_STALL = 60
"""Seconds after which a download that does not go on is given up."""
_SECONDS = 3600.0
"""How long fetching, unpacking and switching may take when the step has no `timeout`."""

Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
Shared = Annotated[str, StringConstraints(pattern=rf"^{_NAME}(/{_NAME})*/?$")]
Command = Annotated[str, StringConstraints(min_length=1)]


class Params(BaseModel):
    """What to deploy, and where. Below `path`: `releases/ID`, `shared/`, and the link `current`.

    Directories that are made are 0755; a release keeps the artifact's permissions, and belongs to the login user.
    Commands run in the release, with `RELEASE` (its name) and `APP` (`path`, absolute) in their environment.
    """

    model_config = ConfigDict(extra="forbid")

    artifact: Url | LocalPath = Field(
        union_mode="left_to_right",
        description="A tar or zip archive, which is unpacked; a directory; or any other file, which becomes the"
        " release's only one. Or the `http(s)://` URL of a tar archive, fetched by the target (with `sha256`).",
    )
    path: str = Field(min_length=1, description="Directory of the application on the target.")
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="What the artifact's SHA-256 must be; required for a URL."
    )
    release: str | None = Field(
        None,
        pattern=rf"^{_NAME}$",
        max_length=64,
        description=f"Name of the release; by default the first {ID_LENGTH} digits of the artifact's SHA-256.",
    )
    revision: str | None = Field(
        None,
        pattern=r"^[^\n]+$",
        description="What the release's file `REVISION` says; by default what the artifact brings, else its SHA-256.",
    )
    phase: Literal["both", "stage", "switch"] = Field(
        "both",
        description="`stage`: unpack the release; `switch`: make the unpacked release live. As two steps all hosts"
        " have it before the first one goes live.",
    )
    keep: int = Field(
        5,
        ge=1,
        description="How many good releases stay: what is live, what was before it, and the newest of the others.",
    )
    shared: list[Shared] = Field(
        default_factory=list,
        description="Names that are links to `shared/NAME` in every release, in place of what the artifact has there."
        " `NAME/` is a directory and made if it is missing; anything else has to be there.",
    )
    link: str = Field("current", pattern=rf"^{_NAME}$", description="Name of the link to the live release.")
    after_stage: Command | None = Field(
        None, description="Command that completes the unpacked release (builds, warms up); else it is no good one."
    )
    before_switch: Command | None = Field(
        None, description="Command without whose success the release does not go live."
    )
    after_switch: Command | None = Field(
        None,
        description="Command that runs once the link points to another release, such as a reload; in a rollback too,"
        " when it points back. It may run twice.",
    )
    hook_timeout: Duration = Field(600.0, description="How long each of these commands may take.")
    env: dict[str, str | Secret] = Field(
        default_factory=dict, description="Environment of these commands; the place for secrets."
    )
    max_size: Size = Field(
        4 * 1024**3, description="How much an artifact may take when it is unpacked, against archives that explode."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.link in {"releases", "shared"}:
            raise ValueError(f"`link` cannot be {self.link!r}, which is a directory here")
        if isinstance(self.artifact, LocalPath):
            return self
        if not self.sha256:
            raise ValueError("an artifact that the target fetches needs `sha256`")
        if not _file_name(self.artifact).endswith(TAR):
            raise ValueError(f"the target unpacks tar archives only: the URL has to end in one of {', '.join(TAR)}")
        return self

    def measured(self) -> Measured:
        """The artifact, read now; of a URL only its SHA-256. Raises `BadArtifact` also if it is not the stated one."""
        if not isinstance(self.artifact, LocalPath):
            return Measured(sha256=self.sha256 or "")
        found = Measured.of(Path(self.artifact), self.max_size)
        if self.sha256 not in {None, found.sha256}:
            raise BadArtifact(f"{self.artifact} has the SHA-256 {found.sha256}, not {self.sha256}")
        return found

    def hooks(self) -> dict[str, str]:
        """The commands of this phase, by name."""
        names = {"stage": _HOOKS[:1], "switch": _HOOKS[1:]}.get(self.phase, _HOOKS)
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def script(self, call: str, release: str, **values: Value) -> Script:
        """A script over this application."""
        given: dict[str, Value] = {
            "root": self.path,
            "release": release,
            "link": self.link,
            "shared": " ".join(self.shared),
            "keep": self.keep,
            "gzip": "z",
            "revision": self.revision,
            "hook_time": hundredths(self.hook_timeout),
            **dict.fromkeys(_HOOKS),
            **self.hooks(),
        }
        if not isinstance(self.artifact, LocalPath):
            name = _file_name(self.artifact)
            given |= {"url": self.artifact, "max_size": self.max_size, "stall": _STALL, "gzip": _compression(name)}
        more = [name for name in ("fetch", "reuse") if name in call or values.get(name)]
        return Script(
            files=("base", "place", "writable", "release", *more),
            call=call,
            values={**given, **values},
            env=self.env if call != "look" else {},
            seconds=_SECONDS + len(self.hooks()) * self.hook_timeout,
        )


def _file_name(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]


def _compression(name: str) -> str:
    """The option by which tar unpacks it."""
    return next((option for end, option in _OPTIONS.items() if name.endswith(end)), "")
