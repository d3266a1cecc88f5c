"""What a limit and its gate know of one call: a grant, from the moment the call may be sent until it is over."""


class Grant:
    """One call on its way, and what the limit knew when it was sent."""

    __slots__ = ("at", "before", "ended", "generation", "others", "probe")

    def __init__(self, at: float, before: float, generation: int, others: int) -> None:
        self.at = at
        self.before = before
        """When the call before it was sent."""
        self.generation = generation
        self.others = others
        """Calls that were under way already."""
        self.probe = False
        """Whether it went out above the limit."""
        self.ended = False
