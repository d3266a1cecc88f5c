"""What is sent to the provider, and when: fair queue, gate, limit, breaker, retry."""
