"""A suite that anyio's pytest plugin runs on a loop of ours."""

import pytest
from beside import check

import preemptio


@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": preemptio.new_event_loop}


@pytest.mark.anyio
async def test_on_our_loop():
    said = await check()
    assert said["loop"].startswith("Preemptio")
    assert said["beside"]
