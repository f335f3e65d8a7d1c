"""The host: event loops, tasks, go, wait, run. The only package that imports asyncio."""
