"""The provider over aiohttp: the client of server, worker and batch."""
