"""The nouns: G, its status, carrier, processor, parked queue, guard. No asyncio, no signals, no settrace."""
