"""The root file system of throwaway machines: a small Debian, made once and kept outside of every project.

It is made by debootstrap from the mirror that this machine's own apt uses, which takes about 40 seconds, and gets its
name only when it is whole, so that one that is there is complete.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PACKAGES = ("systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "procps", "sudo", "busybox")
"""What every image has."""

_MIRROR = "http://deb.debian.org/debian"
_UNUSED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
    "console-getty.service", "systemd-timesyncd.service",
)  # fmt: skip
"""Units that only make machines busy."""

_SSHD = """\
MaxStartups 1000
MaxSessions 100
UseDNS no
PrintMotd no
PrintLastLog no
PermitRootLogin prohibit-password
HostKey /etc/ssh/ssh_host_ed25519_key
"""


def image(packages: Sequence[str] = ()) -> Path:
    """The directory of an image with these packages beside `PACKAGES`; not to be changed.

    It is in `$OPSFLOW_IMAGES`, else `~/.cache/opsflow`.

    Raises:
        RuntimeError: it cannot be made; the message has the end of debootstrap's log.
    """
    suite, mirror = _source()
    wanted = sorted({*PACKAGES, *packages})
    name = hashlib.sha256(f"{suite} {_SSHD} {_UNUSED} {wanted}".encode()).hexdigest()[:12]
    cache = Path(os.environ.get("OPSFLOW_IMAGES") or Path.home() / ".cache" / "opsflow")
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / f"machine-{name}"
    with (cache / f"machine-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            making = cache / f"machine-{name}.making"
            shutil.rmtree(making, ignore_errors=True)
            _make(making, suite, mirror, wanted)
            making.rename(made)
    return made


def _make(root: Path, suite: str, mirror: str, packages: Sequence[str]) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, str(root), mirror]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=_environment(), check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
        raise RuntimeError(f"debootstrap made no image from {mirror}:\n{said}")
    (root / "etc/hostname").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/ssh/sshd_config.d/machine.conf").write_text(_SSHD)
    units = root / "etc/systemd/system"
    for unit in _UNUSED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)


def _source() -> tuple[str, str]:
    """Suite and mirror, as apt has them: those of this machine's own release."""
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )  # name=value, values perhaps quoted
    suite = release.get("VERSION_CODENAME", "bookworm").strip('"')
    form = "$(SITE) $(RELEASE) $(COMPONENT)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", form], capture_output=True, text=True, check=False
    )
    for line in listed.stdout.splitlines():
        site, *what = line.split(" ")
        if what == [suite, "main"] and site.startswith("http"):
            return suite, site
    return suite, _MIRROR


def _environment() -> Mapping[str, str]:
    """The environment of debootstrap, which knows nothing of apt's proxy."""
    asked = subprocess.run(
        ["apt-config", "shell", "http_proxy", "Acquire::http::Proxy", "https_proxy", "Acquire::https::Proxy"],
        capture_output=True,
        text=True,
        check=False,
    )
    pairs = (line.split("=", 1) for line in asked.stdout.splitlines() if "=" in line)
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", **{k: v.strip("'") for k, v in pairs}}
