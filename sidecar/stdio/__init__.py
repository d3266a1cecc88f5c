"""One-shot processes over standard input and output."""
