"""The disk of a throwaway machine: what it writes lies over an image that it shares with others."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

_SIZE = 2 * 1024**3  # sparse


class Disk:
    """A root file system, mounted while it is attached.

    Where the kernel has loop devices it is a file system of its own in a file, so that a loss of power also loses what
    was not on the disk yet. Otherwise what was written is kept. Without overlays it is a copy of the image.

    Args:
        directory: Where everything is.
        image: What it begins as.
    """

    def __init__(self, directory: Path, image: Path) -> None:
        self.root = directory / "root"
        self._image = image
        self._file = directory / "disk"
        self._layer = directory / "layer"

    @property
    def loses_what_is_not_synced(self) -> bool:
        """Whether `tear` does what a loss of power does to a disk."""
        return self._file.exists()

    def make(self) -> None:
        """Make it anew, and attach it."""
        self.detach()
        for path in (self.root, self._layer):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        self._file.unlink(missing_ok=True)
        with self._file.open("wb") as file:
            file.truncate(_SIZE)
        formatted = _done("mkfs.ext4", "-q", "-F", "-m0", "-J", "size=8", "-E", "nodiscard", str(self._file))
        if not (formatted and self._mount_file()):
            self._file.unlink()
        self._fill()

    def attach(self) -> None:
        """Mount it again. Raises `RuntimeError`."""
        if self._file.exists() and not self._mount_file():
            raise RuntimeError(f"{self._file} cannot be mounted")
        self._fill()

    def tear(self) -> None:
        """Detach it as a loss of power does: what had not reached the disk is lost. Nothing may be at work on it."""
        torn = self._file.with_suffix(".torn")
        if self._file.exists():  # before anything is unmounted, which would write it all
            subprocess.run(["cp", "--sparse=always", str(self._file), str(torn)], check=True)
        self.detach()
        if torn.exists():
            torn.rename(self._file)

    def detach(self) -> None:
        """Unmount it; what was written is kept."""
        for path in (self.root, self._layer):
            while os.path.ismount(path):
                if not _done("umount", str(path)):
                    _done("umount", "-l", str(path))

    def remove(self) -> None:
        """Unmount it and free its room."""
        self.detach()
        for path in (self.root, self._layer):
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            self._file.unlink()

    def _mount_file(self) -> bool:
        return _done("mount", "-o", "loop", str(self._file), str(self._layer))

    def _fill(self) -> None:
        """Let the root be what was written over the image."""
        upper, work = self._layer / "upper", self._layer / "work"
        for path in (upper, work):
            path.mkdir(exist_ok=True)
        over = f"lowerdir={self._image},upperdir={upper},workdir={work}"
        if _done("mount", "-t", "overlay", "overlay", "-o", over, str(self.root)):
            return
        copy = self._layer / "copy"
        if not copy.exists():
            subprocess.run(["cp", "-a", "--reflink=auto", str(self._image), str(copy)], check=True)
        if not _done("mount", "--bind", str(copy), str(self.root)):
            raise RuntimeError(f"nothing can be mounted on {self.root}")


def _done(*command: str) -> bool:
    """Whether a command succeeded."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
