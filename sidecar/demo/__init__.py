"""Provider to rehearse with: a real HTTP server in OpenAI's shapes that gives canned answers instead of a model's."""
