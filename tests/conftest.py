"""In CI nothing may be skipped: a test that cannot run there is a test that does not exist."""

import os
import signal
from pathlib import Path

import pytest

# A job in the background of a script has these ignored, and so would have what the tests start and send them to.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number is signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _nothing_is_left_to_the_next_test():
    """What a whole worker shares is after a test as it was before it, and thus the same in whatever order they come."""
    before = _shared()
    yield
    assert _shared() == before


def _shared():
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}, Path.cwd()


IN_CI = bool(os.environ.get("CI"))


def _skipped_is_failed(report):
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _skipped_is_failed((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _skipped_is_failed((yield))
