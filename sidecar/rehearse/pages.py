"""Texts of the rehearsal's pages and the requests that carry them. The run's mark keeps them out of earlier caches."""

from typing import Any, Final

import msgspec

from sidecar.rehearse.plan import Plan, User

_SENTENCES: Final = (
    "The moon circles the Earth in a little over twenty-seven days.",
    "Its pull raises the sea on the near side and on the far side.",
    "Twice a day the water rises along most coasts, and twice it falls.",
    "When sun and moon stand in one line, the tides are highest.",
    "At a right angle they work against each other, and the tides are low.",
    "A narrow bay can raise the water by more than ten metres.",
    "Plants take in light and store its energy in sugar.",
    "Leaves are green because chlorophyll leaves green light unused.",
    "A fraction names a part of a whole; the lower number counts the equal parts.",
    "Two fractions with the same lower number are added by their upper numbers.",
    "Rivers carry sand and clay, and lay them down where the water is slow.",
    "Over long times such layers become stone, and the stone keeps old shells.",
    "A verb in the passive voice says what happens to the subject.",
    "Good summaries keep the main idea and leave the examples out.",
    "Trade along the coast brought grain, cloth and new words to the town.",
    "The council met in the hall by the market and kept records of every vote.",
)
_encode: Final = msgspec.json.Encoder().encode


def text_of(page: int, mark: str, length: int) -> str:
    """Return the text of a page, of `length` characters; each page of each run differs from the first words on."""
    parts = [f"Page {page} of class {mark}."]
    size, turn = len(parts[0]), page
    while size < length:
        sentence = _SENTENCES[turn % len(_SENTENCES)]
        parts.append(sentence)
        size += 1 + len(sentence)
        turn += 1
    return " ".join(parts)[:length].strip()


def request_of(plan: Plan, user: User, click: int, mark: str) -> bytes:
    """Return the body of a click: the plugin's on /ai, or Moodle's own on /v1."""
    text, name = text_of(user.pages[click], mark, plan.length), f"rehearsal-{mark}-{user.number}"
    fields: dict[str, Any]
    if plan.route == "ai":
        fields = {"action": "summarize", "content": text, "user_id": name}
    else:
        fields = {"model": "rehearsal", "user": name, "messages": [{"role": "user", "content": text}]}
    return _encode(fields)
