"""Jobs in Redis: with arq's own command (`worker/` of the repository) the one place that knows redis and arq."""
