"""The engine: queue, fairness, deadlines and the three actions. No sockets, no files, no outside library."""
