"""REDIS_URL=embedded: a private Valkey and a worker, both children of the server."""
