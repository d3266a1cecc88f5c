"""History of one service: what happened in each second of the last minutes and in the last hour, and what to do."""
