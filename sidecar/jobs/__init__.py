"""Jobs in Redis: the one place, beside `worker`, that knows redis and arq."""
