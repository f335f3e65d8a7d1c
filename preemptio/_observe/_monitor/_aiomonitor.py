"""What is used of aiomonitor, imported in one place.

Its imports warn of what click will have elsewhere in a version to come, and its web pages of how aiohttp would like to
have it: nothing that our user can do anything about.
"""

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from aiomonitor import Monitor as Monitor
    from aiomonitor.context import (
        command_done as command_done,
        current_monitor as current_monitor,
        current_stdout as current_stdout,
    )
    from aiomonitor.monitor import task_by_id as task_by_id
    from aiomonitor.termui.commands import (
        custom_help_option as custom_help_option,
        interact as interact,
        monitor_cli as monitor_cli,
        print_fail as print_fail,
    )
    from aiomonitor.webui.app import NavigationItem as NavigationItem, init_webui, nav_menus as nav_menus


async def pages(monitor: Any) -> Any:
    """Make the application that answers aiomonitor's pages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return await init_webui(monitor)
