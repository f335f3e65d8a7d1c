"""What tasks keep alive, and which of them are lost: reading the heap while the program runs. No asyncio."""
