"""Usage without content: requests and tokens by hour in a small file; the one place that knows sqlite."""
