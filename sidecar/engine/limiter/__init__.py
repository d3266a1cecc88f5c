"""Order and pace of provider calls: fair queue, gate, limit, breaker, retry."""
