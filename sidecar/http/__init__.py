"""The aiohttp front end: thin handlers around the engine."""
