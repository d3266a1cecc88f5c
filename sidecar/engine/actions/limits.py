"""The numbers an action works under. Values only; the wiring takes them from the settings."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The size of an answer and of what fits into one call. All three are at least 1."""

    max_tokens: int
    """The most tokens of an answer; a summary gets half."""
    summarize_threshold: int
    """A chat context of more characters is summarized first."""
    context_tokens: int
    """The tokens one provider call may take, answer and instructions included."""
