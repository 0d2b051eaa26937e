"""One file on the target, whatever its content comes from: what `copy` and `template` have in common."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from opsflow import Context, Preview, TaskFailed
from opsflow_tasks._content import SHOWN, Content, difference
from opsflow_tasks._target import Answer, Script

_WHO = r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?"
_LONGEST_NAME = 180
"""Bytes: 255 less what the names of a backup add."""
_FILES = ("base", "place", "attributes", "file")


def _text(value: Any) -> Any:
    # 0644 in TOML is an error, and 644 and 0o644 are numbers that are no longer to be told apart.
    if isinstance(value, int):
        raise ValueError('write it in quotes, as it is typed for chmod: "0644"')  # noqa: TRY004 - pydantic's way
    return value


Mode = Annotated[str, BeforeValidator(_text), StringConstraints(pattern=r"^[0-7]{3,4}$")]
Owner = Annotated[str, StringConstraints(pattern=rf"^({_WHO})?(:{_WHO})?$", min_length=1)]


class FileParams(BaseModel):
    """Where a file is to be, and whose."""

    model_config = ConfigDict(extra="forbid")

    dest: str = Field(
        min_length=1,
        description="The file on the target; its directory has to be there. A symbolic link is replaced, not followed.",
    )
    mode: Mode | None = Field(
        None,
        description='Its permissions, `"0644"`; by default those of the file that is there, and 0600 for a new one.',
    )
    owner: Owner | None = Field(
        None,
        description="`USER`, `USER:GROUP` or `:GROUP`; by default those of the file that is there, and for a new one"
        " the user that commands run as.",
    )
    keep: int = Field(
        5,
        ge=1,
        description="How many backups stay beside the file, as `.NAME.RUN-ID~`; those of this run stay in any case.",
    )
    diff: bool = Field(
        default=True, description="`false`: what changes is not shown; for files that hold what not everybody may see."
    )


class FileOutputs(BaseModel):
    """The file that is there now."""

    path: str = Field(description="Its absolute path.")
    sha256: str = Field(description="SHA-256 of its content.")
    mode: str = Field(description='Its permissions, such as `"0644"`.')


_Params = TypeVar("_Params", bound=FileParams)


def plan_file(ctx: Context, params: _Params, read: Callable[[Context, _Params], Content]) -> Preview:
    """What is there, and what would be different; `read` raises `TaskFailed` if there is nothing to put there."""
    try:
        content = read(ctx, params)
    except TaskFailed as error:
        return Preview.fail(str(error))
    values = {"dest": params.dest, "owner": params.owner}
    found = Script(files=_FILES, call="look", values=values).look(ctx)
    path = found["path"]
    if found.error:
        return Preview.fail(found.error)
    mode = (params.mode or found["mode"] or "0600").zfill(4)
    same = found["sha256"] == content.sha256
    if same and (mode, found["wanted"]) == (found["mode"], found["owner"]):
        return Preview.unchanged(f"{path} is as it should be", outputs=_outputs(path, content.sha256, mode))
    if found["hindrance"]:
        return Preview.fail(f"{path} cannot be changed: {found['hindrance']} (see `become`)")
    if len(path.rpartition("/")[2].encode()) > _LONGEST_NAME:
        return Preview.fail(f"{path} has a name of more than {_LONGEST_NAME} bytes")
    hidden = not params.diff or content.secret
    old = b"" if same or hidden or int(found["size"] or 0) > SHOWN or found["kind"] != "file" else ctx.get(path)
    return Preview.change(
        _summary(found, same=same),
        before=_before(ctx, found, content, mode, same=same),
        diff=difference(found, old, content, mode, hidden=hidden),
    )


def place_file(ctx: Context, params: FileParams, preview: Preview, content: Content) -> dict[str, Any]:
    """Send it under another name, then put it in place at one moment."""
    before = preview.before
    path = before["path"]
    sent = content.sha256 if before["in_place"] else content.send(ctx, before["new"])
    if {content.sha256, sent} != {before["sha256"]}:
        raise TaskFailed(f"what {path} is to hold has changed since this attempt was planned")
    _script("place", before, keep=params.keep, run=ctx.run_id).act(ctx, preview.summary)
    if before["kind"] == "file" and not before["in_place"]:
        ctx.log(f"what {path} was is kept as {before['backup']}")
    if before["lost"]:
        ctx.log(f"{path} has lost {before['lost']}")
    return _outputs(path, before["sha256"], before["mode"])


def restore_file(ctx: Context, preview: Preview, outputs: Mapping[str, Any] | None) -> None:
    """Put back what was there; what others have made of the file since is kept beside it."""
    before = preview.before
    own = {"mode": before["old_mode"], "give": before["old_owner"]} if before["in_place"] else {}
    answer = _script("restore", {**before, **own}, finished=outputs is not None).act(ctx, f"restore {before['path']}")
    if answer["edited"]:
        ctx.log(f"{before['path']} was changed by others: what they made of it is kept as {answer['edited']}")


def _before(ctx: Context, found: Answer, content: Content, mode: str, *, same: bool) -> dict[str, Any]:
    directory, _, name = found["path"].rpartition("/")
    # Of this attempt alone, and the same each time that it is made up.
    mark = hashlib.sha256(f"{ctx.node} {ctx.attempt}".encode()).hexdigest()[:6]
    beside = f"{directory}/.{name}.{ctx.run_id}-{mark}"
    return {
        "path": found["path"],
        "kind": found["kind"],
        "target": found["target"],
        "was": found["sha256"],
        "old_mode": found["mode"],
        "old_owner": found["owner"],
        "sha256": content.sha256,
        "mode": mode,
        "give": found["wanted"],
        "in_place": same,
        "lost": "" if same else found["lost"],
        "new": f"{beside}.new~",
        "backup": f"{beside}~",
    }


def _script(call: str, before: Mapping[str, Any], **more: Any) -> Script:
    values = {key: value for key, value in before.items() if not key.startswith("old_")}
    return Script(files=_FILES, call=call, values={**values, "dest": before["path"], **more})


def _summary(found: Answer, *, same: bool) -> str:
    path = found["path"]
    if same:
        return f"set mode and owner of {path}"
    return {"none": f"create {path}", "link": f"replace the link {path} by a file"}.get(found["kind"], f"change {path}")


def _outputs(path: str, sha256: str, mode: str) -> dict[str, Any]:
    return {"path": path, "sha256": sha256, "mode": mode}
