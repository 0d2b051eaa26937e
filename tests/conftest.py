"""In CI nothing may be skipped: a test that cannot run there is a test that does not exist."""

import os

import pytest

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
