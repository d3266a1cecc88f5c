"""One-shot processes that answer requests on standard input and output."""
