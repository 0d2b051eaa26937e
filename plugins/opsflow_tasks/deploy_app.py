"""Deploy an application: unpack a release beside the others, then point one link to it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from opsflow import Context, LocalPath, Preview, Size, TaskFailed, hookimpl
from opsflow_tasks._archive import TAR, BadArtifact, digest, repack
from opsflow_tasks._target import Answer, Script, Value

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_ID_LENGTH = 12
_OPTIONS = {"gz": "z", "bz2": "j", "xz": "J"}
_SECONDS = 3600.0
"""How long fetching, unpacking and switching may take when the step has no `timeout`."""

Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
Shared = Annotated[str, StringConstraints(pattern=rf"^{_NAME}(/{_NAME})*/?$")]


idempotent = True  # a release that is there is not unpacked again, and the link is only ever switched whole


class Params(BaseModel):
    """What to deploy, and where. Below `path`: `releases/ID`, `shared/`, and the link `current`.

    Directories that are made are 0755; a release keeps the artifact's permissions, and belongs to the login user.
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
        description=f"Name of the release; by default the first {_ID_LENGTH} digits of the artifact's SHA-256.",
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

    def measured(self) -> str:
        """The artifact's SHA-256, read now. Raises `BadArtifact` also if it is not the stated one."""
        if not isinstance(self.artifact, LocalPath):
            return self.sha256 or ""
        found = digest(Path(self.artifact), self.max_size)
        if self.sha256 not in {None, found}:
            raise BadArtifact(f"{self.artifact} has the SHA-256 {found}, not {self.sha256}")
        return found

    def script(self, call: str, release: str, **values: Value) -> Script:
        """A script over this application."""
        given: dict[str, Value] = {
            "root": self.path,
            "release": release,
            "link": self.link,
            "shared": " ".join(self.shared),
            "keep": self.keep,
            "gzip": "z",
        }
        if not isinstance(self.artifact, LocalPath):
            name = _file_name(self.artifact)
            given |= {"url": self.artifact, "max_size": self.max_size, "gzip": _compression(name)}
        files = ("base", "release", "fetch") if "fetch" in call else ("base", "release")
        return Script(files=files, call=call, values={**given, **values}, seconds=_SECONDS)


@hookimpl
def params() -> type[BaseModel]:
    """The schema."""
    return Params


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """What is live, and is the release there already?"""
    try:
        sha256 = params.measured()
    except BadArtifact as error:
        return Preview.fail(str(error))
    release = params.release or sha256[:_ID_LENGTH]
    found = params.script("look", release).look(ctx)
    refusal = found.error or _refusal(params, found, release, sha256)
    if refusal:
        return Preview.fail(refusal)
    live = found["current"] == f"releases/{release}"
    if live or (params.phase == "stage" and found["staged"] == "good"):
        outputs = _outputs(params, found["root"], release, sha256, found["previous"])
        return Preview.unchanged(f"{release} is {'live' if live else 'staged'}", outputs=outputs)
    return _change(params, found, release, sha256)


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Send, unpack, switch: what is unpacked appears whole, and the link changes at one moment."""
    before = preview.before
    release, sha256 = before["release"], before["sha256"]
    what = preview.summary
    values: dict[str, Value] = {"root": before["root"], "sha256": sha256, "before": before["current"]}
    calls = [] if params.phase == "stage" else ["switch"]
    if before["stages"]:
        params.script("prepare", release, **values).act(ctx, what)
        calls.insert(0, "stage")
        if isinstance(params.artifact, LocalPath):
            _send(ctx, params, f"{before['root']}/releases/.{release}.archive", sha256)
        else:
            calls.insert(0, "fetch")
    params.script("\n".join(calls), release, **values).act(ctx, what)
    return _outputs(params, before["root"], release, sha256, before["current"])


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:  # noqa: ARG001 - the hook's
    """Point the link to where it pointed, unless others changed it since; mark the release bad if it is this one's."""
    before = preview.before
    script = params.script(
        "undo",
        before["release"],
        root=before["root"],
        before=before["current"],
        switched=params.phase != "stage",
        staged=before["stages"],
        fresh=before["fresh"],
    )
    script.act(ctx, f"go back to {before['current'] or 'no release'}")


def _refusal(params: Params, found: Answer, release: str, sha256: str) -> str:
    """Why the release cannot be had; empty: it can."""
    live, good = found["current"] == f"releases/{release}", found["staged"] == "good"
    if (good or live) and found["sha256"] != sha256:
        return f"release {release} is there with other content: give this one another `release`"
    if live and not good:
        return f"release {release} is live, but a rollback has marked it bad: deploy another one"
    return f"release {release} is not staged" if params.phase == "switch" and not good else ""


def _change(params: Params, found: Answer, release: str, sha256: str) -> Preview:
    verb = {"both": "deploy", "stage": "stage", "switch": "switch to"}[params.phase]
    before = {
        "root": found["root"],
        "current": found["current"],
        "release": release,
        "sha256": sha256,
        "stages": found["staged"] != "good",
        "fresh": bool(found["fresh"]),
    }
    if params.phase == "stage":
        return Preview.change(f"{verb} {release} in {found['root']}", before=before)
    old = f"-{params.link} -> {found['current']}\n" if found["current"] else ""
    return Preview.change(
        f"{verb} {release} in {found['root']} (now {_id(found['current']) or 'nothing'})",
        before=before,
        diff=f"{old}+{params.link} -> releases/{release}\n",
    )


def _send(ctx: Context, params: Params, path: str, sha256: str) -> None:
    with tempfile.TemporaryDirectory(prefix="opsflow-") as directory:
        packed = Path(directory, "artifact.tar.gz")
        try:
            if params.measured() != sha256:
                raise TaskFailed(f"{params.artifact} has changed since this attempt was planned")
            repack(Path(params.artifact), packed, params.max_size)
        except BadArtifact as error:
            raise TaskFailed(str(error)) from error
        ctx.put(packed, path)


def _outputs(params: Params, root: str, release: str, sha256: str, previous: str) -> dict[str, Any]:
    outputs = {"release": release, "path": f"{root}/releases/{release}", "sha256": sha256}
    return outputs if params.phase == "stage" else {**outputs, "previous": _id(previous)}


def _id(target: str) -> str | None:
    return target.removeprefix("releases/") or None


def _file_name(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]


def _compression(name: str) -> str:
    """The option by which tar unpacks it."""
    return next((option for end, option in _OPTIONS.items() if name.endswith(end)), "")
