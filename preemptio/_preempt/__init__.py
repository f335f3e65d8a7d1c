"""The verbs: how the CPU is taken. Tick sources, requests, safe points, seeking. No asyncio."""
