"""A backup and a migration as what is interrupted, and what has to be true of the database and its host afterwards."""

import hashlib
import json
import re
import shutil
import subprocess

from database_ground import TASKS
from database_schema import EFFECTS, RESTORED, UNDONE, scripts
from kills import Subject

_LOOK = re.compile(
    r"(\w+): look whether statement (\d+) took effect, then: UPDATE (\w+) SET pending = 0, (position|undone) = (\d+)"
    r" \(or (\d+), if it did\) WHERE version = (\d+);"
)
_NEVERTHELESS = re.compile(r"2\. on \w+: (printf %s \S+ >\S+\.restore\S*)")


def _between(name, found, wanted):
    """How two contents of the same thing differ; empty if they don't."""
    if found == wanted:
        return ""
    more, less = (
        [line for line in ours or () if line not in (other or ())] for ours, other in ((found, wanted), (wanted, found))
    )
    return f"{name} has {more}, not {less}"


class Migration(Subject):
    """A database backed up and migrated.

    Args:
        kept: The database, which holds what it did at first.
    """

    def __init__(self, kept):
        super().__init__(kept.database.engine, kept.ground, TASKS)
        self._kept = kept
        self._backups = kept.target.home / "backups"

    def begin(self):
        """See `Subject`."""
        shutil.rmtree(self._backups, ignore_errors=True)
        for path in (self._kept.target.home / "tmp").iterdir():
            shutil.rmtree(path)

    def kill_runner(self):
        """See `Subject`."""
        self._kept.target.end_work()

    def changed(self, played):
        """See `Subject`."""
        database = self._kept.database
        applied = [(n, "applied", len(s.do), 0) for n, s in enumerate(scripts(database.engine, played.play), 1)]
        wrong = self._wrong(self._kept.new[played.play], applied)
        return wrong if self._whole() else [*wrong, "there is no backup"]

    def put_back(self, played, *, through):
        """See `Subject`."""
        wrong = self._wrong(self._kept.old, None)
        return [*wrong, "there is no backup"] if through and not self._whole() else wrong

    def follow(self, played, text):
        """See `Subject`."""
        text = " ".join(text.split())
        looks, again = _LOOK.findall(text), _NEVERTHELESS.search(text)
        if again and played.play == RESTORED:
            subprocess.run(["sh", "-c", again[1]], check=True)
            return True
        if not looks or self.name != "mysql" or played.play != UNDONE:
            return False
        for name, statement, table, column, not_yet, done, version in looks:
            reached = done if self._took_effect(played.play, name, int(statement), column) else not_yet
            self._kept.database.run(f"UPDATE {table} SET pending = 0, {column} = {reached} WHERE version = {version}")
        return True

    def _took_effect(self, play, name, statement, column):
        """What a person sees: the effect of a statement, or that an undo's has taken it away."""
        script = next(s for s in scripts(self.name, play) if s.name == name)
        undoing = column == "undone"
        asked = EFFECTS[name, len(script.do) + 1 - statement if undoing else statement]
        return (self._kept.database.run(asked).strip() == "1") != undoing

    def _wrong(self, content, history):
        database = self._kept.database
        litter = [*self._litter(), *database.left()]
        found, seen = database.content(), database.history()
        differing = [_between(name, found.get(name), content.get(name)) for name in sorted({*found, *content})]
        differing = [difference for difference in differing if difference]
        wrong = {
            f"there is left: {litter}": bool(litter),
            f"these are not what they must be: {differing}": bool(differing),
            f"the history is {seen}, not {history}": seen != history,
        }
        return [what for what, is_so in wrong.items() if is_so] + self._unsound()

    def _litter(self):
        """Files on the host that are no part of a whole backup."""
        home = self._kept.target.home
        found = [
            path for path in home.iterdir() if path.name not in {".opsflow", "backups", "game.db", "tmp", "witness"}
        ]
        found += (home / "tmp").iterdir()
        parts = {
            path.with_name(path.name + end) for path in self._whole() for end in ("", ".manifest.json", ".contents")
        }
        found += {*self._backups.glob("*")} - parts if self._backups.exists() else ()
        return sorted(str(path.relative_to(home)) for path in found)

    def _whole(self):
        """The backups that have a manifest."""
        ends = ".manifest.json"
        return [path.with_name(path.name.removesuffix(ends)) for path in self._backups.glob(f"*{ends}")]

    def _unsound(self):
        wrong = []
        for path in self._whole():
            manifest = json.loads(path.with_name(f"{path.name}.manifest.json").read_text())
            if manifest["sha256"] != hashlib.sha256(path.read_bytes()).hexdigest():
                wrong.append(f"{path.name} is not what its manifest says")
            rows = {name.rpartition(".")[2]: count for name, count in manifest["rows"].items()}
            if rows != self._kept.rows:
                wrong.append(f"{path.name} has other rows than the database had: {rows}")
        mine = [self._backups, *self._backups.glob("[!.]*")] if self._backups.exists() else []
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in mine}
        open_to = {name: mode for name, mode in modes.items() if mode != ("0o700" if name == "backups" else "0o600")}
        return [*wrong, f"others may read {open_to}"] if open_to else wrong
