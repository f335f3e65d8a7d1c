"""What stands in which frame is the subject here; tests/programs/scan_everywhere.py scans under fault injection."""

import pathlib

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Fault injection is off for this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.uninjected("which frames there are, and where they stand"))
