"""The monitor: aiomonitor's console and web pages, with commands and a page for Gs.

`_start.py` is its door, which opens without aiomonitor as well, an extra, and then says what to install. The rest
imports it.
"""
