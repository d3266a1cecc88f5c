"""Files of requests: read line by line, run through the engine, and answered in a file that survives a crash."""
