"""What the demo upstream says: useful texts made of the caller's own words, and how long they are in tokens.

Deterministic: the same question gets the same answer. No model, no dice, no I/O; nothing here keeps a text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Kind = Literal["summary", "analysis", "chat"]

_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])[\"'”»)]*\s+|(?<=[。！？])|\n\s*\n|\n(?=\s*[-*#\d])")  # noqa: RUF001
_WORD: Final = re.compile(r"[^\W\d_]{4,}")
_MARKER: Final = re.compile(r'\s*(?:</?[A-Za-z][^<>]*>|<{3,}[^<>]*(?:>{3,})?|[^<>]*>{3,}|"{3})\s*')
_SAMPLE: Final = 8_000
"""Characters looked at; of a longer text four pieces from its whole length, so that a call stays cheap."""
_INSTRUCTION: Final = 600
"""Characters of the system message in which its task must be named."""
_COMMON: Final = frozenset(
    """
    about after also because been before being between both called came come comes could does each even
    from goes have here however into just know like made make many more most mostly much must often only
    other over said same says should some still such than that their them then there these they think
    this those through under upon used using very well were what when where which while will with would
    your
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
"""English words that say nothing about a topic."""


class Answer(NamedTuple):
    """A text that fits the limit, and whether the limit cut it."""

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: int


def tokens(text: str) -> int:
    """About how many tokens a text has: four UTF-8 bytes each, which holds for English and is near for others."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return (size + 3) // 4


def answer(system: str, text: str, limit: int | None, *, earlier: str = "") -> Answer:
    """The answer to `text` under the instruction `system`, in at most `limit` tokens.

    `earlier` is what was said before; a chat quotes from it, and from what the instruction sets apart by markers.
    """
    parts = blocks(text)
    kind = kind_of(system, parts[-1] if parts else "")
    if kind == "summary":
        said = summary("\n\n".join(parts), limit)
    elif kind == "analysis":
        said = analysis("\n\n".join(parts))
    else:
        said = chat([*blocks(system, whole=False), *blocks(earlier), *parts])
    return _cut(said, limit)


def kind_of(system: str, question: str = "") -> Kind:
    """What is wanted, by the first task that the instruction names; without one, by the question's opening."""
    opening = (system[:_INSTRUCTION] or question[:40]).lower()
    found = {"summary": opening.find("summar"), "analysis": opening.find("analy")}
    named = {kind: place for kind, place in found.items() if place >= 0}
    if not named:
        return "chat"
    return "summary" if min(named, key=named.__getitem__) == "summary" else "analysis"


def blocks(text: str, *, whole: bool = True) -> list[str]:
    """The parts of a message that lines like `<text>` or `<<<TEXT` set apart; without such lines the `whole`.

    Words before the first marker are instructions and left out; words after the last one are the question.
    """
    if "<" not in text and '"""' not in text and ">>>" not in text:
        return [text.strip()] if whole and text.strip() else []
    pieces: list[list[str]] = [[]]
    for line in text.splitlines():
        if _MARKER.fullmatch(line):
            pieces.append([])
        else:
            pieces[-1].append(line)
    if len(pieces) > 2:
        pieces = pieces[1:]
    elif not whole:
        return []
    return [joined for piece in pieces if (joined := "\n".join(piece).strip())]


def summary(text: str, limit: int | None = None) -> str:
    """The text's first sentence and its most telling ones, in their order, about a third of its length."""
    said = sentences(text)
    if not said:
        return "There is no text to summarize."
    most = min(120, max(30, len(text.split(None, 360)) // 3))
    if limit is not None:
        most = min(most, limit * 3 // 4)
    counts = _weights(said)
    chosen, words = {0}, len(said[0].split())
    for place in sorted(range(1, len(said)), key=lambda place: (-_weight(said[place], counts), place)):
        size = len(said[place].split())
        if words + size <= most and said[place] not in (said[other] for other in chosen):
            chosen.add(place)
            words += size
    return " ".join(said[place] for place in sorted(chosen))


def analysis(text: str) -> str:
    """Learning objectives, a difficulty level and suggestions, from the text's own words and measures."""
    said = sentences(text)
    if not said:
        return "There is no text to analyze."
    words = [word for sentence in said for word in sentence.split()]
    per_sentence = len(words) / len(said)
    letters = sum(len(word) for word in words) / len(words)
    level = "Beginner" if per_sentence < 12 and letters < 6 else "Intermediate"
    if per_sentence > 22 or letters > 7:
        level = "Advanced"
    topics = [f"**{word}**" for word in _topics(said, 4)] or ["**the text**"]
    longest = max(said, key=lambda sentence: len(sentence.split()))
    return "\n".join(
        (
            "## Learning objectives",
            f"- Explain {_listed(topics[:2])} in your own words.",
            f"- Say how {_listed(topics)} belong together.",
            f"- Retell the opening thought: {said[0]}",
            "",
            "## Difficulty level",
            f"{level}: about {per_sentence:.0f} words a sentence and {letters:.1f} letters a word.",
            "",
            "## Suggestions for improvement",
            f"- Add an example or a picture for {topics[0]}.",
            f"- Close with a question that makes the reader use {topics[-1]}.",
            f"- Look again at the longest sentence ({len(longest.split())} words): {opening(longest, 8)}",
        )
    )


def chat(parts: Sequence[str]) -> str:
    """An answer that quotes the question's opening words and what the material says nearest to them."""
    if not parts:
        return "Ask a question about your course, and I will help you to work it out."
    question, material = parts[-1], "\n\n".join(parts[:-1])
    asked = {word for word in _words(question) if word not in _COMMON}
    near = max(sentences(material), key=lambda said: len(asked & set(_words(said))), default="")
    lines = [f"You asked: “{opening(question, 12)}”"]
    if near:
        lines += ["", f"Your course material says: {near}"]
    topics = [f"**{word}**" for word in _topics([question], 3)]
    lines += ["", "A good way to work it out:"]
    lines.append(f"- Write down what you already know about {_listed(topics) if topics else 'it'}.")
    lines.append("- Find the place in your course text that speaks of it and say it in your own words.")
    lines.append("- Try one small example, then compare it with a classmate's or ask your teacher.")
    return "\n".join(lines)


def sentences(text: str) -> list[str]:
    """The sentences of a text, white space made plain; of a long text those of four pieces of it."""
    if len(text) <= _SAMPLE:
        pieces = [text]
    else:
        size = _SAMPLE // 4
        starts = [(len(text) - size) * number // 3 for number in range(4)]
        pieces = [text[start : start + size] for start in starts]
    found: list[str] = []
    for number, piece in enumerate(pieces):
        said = [plain for part in _SENTENCE_END.split(piece) if (plain := " ".join(part.split()))]
        if len(pieces) > 1 and len(said) > 2:  # a piece's edges are rarely the edges of sentences
            said = said[1 if number else 0 : -1]
        found += said
    return found


def opening(text: str, words: int) -> str:
    """The first words of a text, at most 160 characters of them."""
    first = text.split(None, words)
    quoted = " ".join(first[:words])
    return f"{quoted[:160]}…" if len(first) > words or len(quoted) > 160 else quoted


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _weights(said: Sequence[str]) -> Counter[str]:
    return Counter(word for sentence in said for word in _words(sentence) if word not in _COMMON)


def _weight(sentence: str, counts: Counter[str]) -> float:
    words = _words(sentence)
    return sum(counts[word] for word in words) / (len(words) + 3) if words else 0.0


def _topics(said: Sequence[str], most: int) -> list[str]:
    counts = _weights(said)
    return sorted(counts, key=lambda word: (-counts[word], -len(word), word))[:most]


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _cut(text: str, limit: int | None) -> Answer:
    size = tokens(text)
    if limit is None or size <= limit:
        return Answer(text, "stop", size)
    kept = text.encode("utf-8", "replace")[: limit * 4].decode("utf-8", "ignore")
    at_word = kept.rpartition(" ")[0].rstrip()
    kept = at_word or kept  # a first word longer than the limit, or writing without spaces
    return Answer(kept, "length", tokens(kept))
