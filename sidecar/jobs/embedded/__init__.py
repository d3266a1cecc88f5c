"""REDIS_URL=embedded: a Valkey of the server's own and a worker beside it, both its children."""
