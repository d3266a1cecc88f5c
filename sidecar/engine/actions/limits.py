"""The numbers an action works under. Values only: where they come from is the wiring's business."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much an action may ask for and how much fits into one call. All three are at least 1."""

    max_tokens: int
    """The most tokens of an answer; a summary gets half."""
    summarize_threshold: int
    """A chat context of more characters is summarized first."""
    context_tokens: int
    """The tokens one provider call may take, answer and instructions included."""
