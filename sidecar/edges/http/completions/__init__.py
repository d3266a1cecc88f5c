"""The OpenAI-compatible door: chat completions whole and streamed, the list of models, errors in OpenAI's shape."""
