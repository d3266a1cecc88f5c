"""A provider to rehearse with: a real HTTP server in OpenAI's shapes whose answers are canned, not a model's."""
