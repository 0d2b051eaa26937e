"""What a campaign was done with, for its page."""

import os
import platform
import subprocess
from datetime import UTC, datetime


def version(*command):
    """The first line of what a program says of itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def surroundings():
    """What all campaigns say, by name."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}",
        "Python": platform.python_version(),
        "ssh server": version("ssh", "-V").split(",")[0],
    }
