"""Files of requests: read line by line, run through the engine, answered in a file that a crash does not spoil."""
