"""The page: the monitor's Gs in a browser. Imported when a monitor is started: aiohttp comes with aiomonitor."""
