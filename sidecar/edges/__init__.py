"""Where the product touches the world: the provider, HTTP, pipes, files, signals."""
