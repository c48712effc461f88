"""The domain: pure values and their arithmetic. No I/O, no asyncio, imports nothing else of the project."""
