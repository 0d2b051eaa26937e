"""Deploy an application: unpack a release beside the others, then point one link to it."""

import gzip
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from opsflow import Context, LocalPath, Preview, TaskFailed, hookimpl
from opsflow_tasks._archive import BadArtifact
from opsflow_tasks._packing import Measured, pack
from opsflow_tasks._release import ID_LENGTH, Params
from opsflow_tasks._target import Answer, Value

idempotent = True  # a release that is there is not unpacked again, and the link is only ever switched whole


class Outputs(BaseModel):
    """The release."""

    release: str = Field(description="Its name.")
    path: str = Field(description="Its directory.")
    sha256: str = Field(description="SHA-256 of the artifact.")
    previous: str | None = Field(None, description='The release that was live before; not with `phase = "stage"`.')


@hookimpl
def params() -> type[BaseModel]:
    """The schema."""
    return Params


@hookimpl
def outputs() -> type[BaseModel]:
    """What it gives."""
    return Outputs


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """What is live, and is the release there already?"""
    try:
        measured = params.measured()
    except BadArtifact as error:
        return Preview.fail(str(error))
    sha256 = measured.sha256
    release = params.release or sha256[:ID_LENGTH]
    found = params.script("look", release).look(ctx)
    refusal = found.error or _refusal(params, found, release, measured)
    if refusal:
        return Preview.fail(refusal)
    live = found["current"] == f"releases/{release}"
    if live and found["switching"] and params.phase != "stage":
        return _completion(params, found, release, sha256)
    if live or (params.phase == "stage" and found["staged"] == "good"):
        outputs = _outputs(params, found["root"], release, sha256, found["previous"])
        return Preview.unchanged(f"{release} is {'live' if live else 'staged'}", outputs=outputs)
    if found["closed"]:
        return Preview.fail(found["closed"])
    return _change(params, found, release, sha256)


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Send, unpack, switch: what is unpacked appears whole, and the link changes at one moment."""
    before = preview.before
    release, sha256 = before["release"], before["sha256"]
    what = preview.summary
    values: dict[str, Value] = {"root": before["root"], "sha256": sha256, "before": before["current"]}
    calls = [] if params.phase == "stage" else ["switch"]
    if before["stages"] and isinstance(params.artifact, LocalPath):
        _send(ctx, params, before, values, what)
        calls.insert(0, "stage")
    elif before["stages"]:
        params.script("prepare", release, **values).act(ctx, what)
        calls[:0] = ["fetch", "stage"]
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


def _refusal(params: Params, found: Answer, release: str, measured: Measured) -> str:
    """Why the release cannot be had; empty: it can."""
    live, good = found["current"] == f"releases/{release}", found["staged"] == "good"
    if (good or live) and found["sha256"] != measured.sha256:
        return f"release {release} is there with other content: give this one another `release`"
    if live and not good:
        return f"release {release} is live, but a rollback has marked it bad: deploy another one"
    if params.phase == "switch" and not good:
        return f"release {release} is not staged"
    needed = 0 if good else measured.size // 1024
    if found["free"] and needed > int(found["free"]):
        return f"release {release} takes {needed} KiB, and there are {found['free']} KiB free for {found['root']}"
    return ""


def _change(params: Params, found: Answer, release: str, sha256: str) -> Preview:
    verb = {"both": "deploy", "stage": "stage", "switch": "switch to"}[params.phase]
    before = _before(found, release, sha256, found["current"])
    hooks = "".join(f" {name}: {command}\n" for name, command in params.hooks().items() if _runs(name, before))
    if params.phase == "stage":
        return Preview.change(f"{verb} {release} in {found['root']}", before=before, diff=hooks)
    old = f"-{params.link} -> {found['current']}\n" if found["current"] else ""
    return Preview.change(
        f"{verb} {release} in {found['root']} (now {_id(found['current']) or 'nothing'})",
        before=before,
        diff=f"{old}+{params.link} -> releases/{release}\n{hooks}",
    )


def _completion(params: Params, found: Answer, release: str, sha256: str) -> Preview:
    """What a switch that was cut short has not come to: the link points to the release already."""
    return Preview.change(
        f"finish the switch to {release} in {found['root']} (from {_id(found['previous']) or 'nothing'})",
        before=_before(found, release, sha256, found["previous"]),
        diff=f" after_switch: {params.after_switch}\n" if params.after_switch else "",
    )


def _before(found: Answer, release: str, sha256: str, current: str) -> dict[str, Any]:
    return {
        "root": found["root"],
        "current": current,
        "release": release,
        "sha256": sha256,
        "stages": found["staged"] != "good",
        "reuse": bool(found["manifest"]),
        "fresh": bool(found["fresh"]),
    }


def _runs(hook: str, before: Mapping[str, Any]) -> bool:
    return hook != "after_stage" or bool(before["stages"])


def _send(ctx: Context, params: Params, before: Mapping[str, Any], values: Mapping[str, Value], what: str) -> None:
    """Have the artifact on the target, but for the files of it that the live release has."""
    path = Path(params.artifact)
    try:
        measured = params.measured()
        if measured.sha256 != before["sha256"]:
            raise TaskFailed(f"{path} has changed since this attempt was planned")
        given = gzip.compress(measured.manifest, 1, mtime=0) if before["reuse"] else None
        script = params.script("prepare", before["release"], **values, reuse=before["reuse"])
        there = measured.at(script.act(ctx, what, given)["reused"])
        with tempfile.TemporaryDirectory(prefix="opsflow-") as directory:
            packed = Path(directory, "artifact.tar.gz")
            manifest = None if before["reuse"] else measured.manifest
            pack(path, packed, params.max_size, manifest=manifest, without=there)
            if there:
                ctx.log(
                    f"{len(there)} of {measured.count} files are there already: {packed.stat().st_size} bytes to send"
                )
            ctx.put(packed, f"{before['root']}/releases/.{before['release']}.archive")
    except BadArtifact as error:
        raise TaskFailed(str(error)) from error


def _outputs(params: Params, root: str, release: str, sha256: str, previous: str) -> dict[str, Any]:
    outputs = {"release": release, "path": f"{root}/releases/{release}", "sha256": sha256}
    return outputs if params.phase == "stage" else {**outputs, "previous": _id(previous)}


def _id(target: str) -> str | None:
    return target.removeprefix("releases/") or None
