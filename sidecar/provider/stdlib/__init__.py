"""The one-shot process's HTTP client: the provider over asyncio alone."""
