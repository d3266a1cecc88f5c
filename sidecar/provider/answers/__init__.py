"""Reading of a provider's answers, whole or streamed, in every wrapping that was seen. Free of I/O."""
