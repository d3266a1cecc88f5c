"""The commands that need more than a server or a process for one click: each a module with `main(argv) -> int`."""
