"""Failure of a step on a Moodle."""

from sidecar.core.errors import plain

_LONGEST = 600


class MoodleError(Exception):
    """The step was not done; the sentence says why, and `remedy` what to do, where that is known."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(plain(sentence, _LONGEST))
        self.remedy = remedy
