"""The lowest layer: errors, contract, ports and events, which every other layer imports. No I/O."""
