"""Answers of the demo provider: useful texts made of the caller's own words, and their length in tokens.

The same question gets the same answer: there is no model, no chance, no I/O and no store of texts here.
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
"""Characters read of a text; a longer one is sampled in four pieces over its length, so that a call stays cheap."""
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
"""English words that no topic is made of."""


class Answer(NamedTuple):
    """A text that fits the limit, and whether the limit cut it."""

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: int


def tokens(text: str) -> int:
    """Estimate a text's tokens: four UTF-8 bytes each, which holds for English and is near for other languages."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return (size + 3) // 4


def answer(system: str, text: str, limit: int | None, *, earlier: str = "") -> Answer:
    """Return the answer to `text` under the instruction `system`, in at most `limit` tokens.

    `earlier` is the conversation before `text`; a chat quotes from `earlier` and from the instruction's marked blocks.
    """
    parts = blocks(text)
    kind = kind_of(system, parts[-1] if parts else "")
    if kind == "summary":
        reply = summary("\n\n".join(parts), limit)
    elif kind == "analysis":
        reply = analysis("\n\n".join(parts))
    else:
        reply = chat([*blocks(system, whole=False), *blocks(earlier), *parts])
    return _cut(reply, limit)


def kind_of(system: str, question: str = "") -> Kind:
    """Return the kind of answer by the first task that the instruction names, or else by the question's opening."""
    opening = (system[:_INSTRUCTION] or question[:40]).lower()
    found = {"summary": opening.find("summar"), "analysis": opening.find("analy")}
    named = {kind: place for kind, place in found.items() if place >= 0}
    if not named:
        return "chat"
    return "summary" if min(named, key=named.__getitem__) == "summary" else "analysis"


def blocks(text: str, *, whole: bool = True) -> list[str]:
    """Return the parts of a message between marker lines like `<text>` or `<<<TEXT`; without markers, the `whole`.

    Words before the first marker are instructions and are left out; words after the last marker are the question.
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
    """Return the text's first sentence and its weightiest ones, in their order: about a third of the text's length."""
    sentences = split_sentences(text)
    if not sentences:
        return "There is no text to summarize."
    most = min(120, max(30, len(text.split(None, 360)) // 3))
    if limit is not None:
        most = min(most, limit * 3 // 4)
    counts = _weights(sentences)
    chosen, words = {0}, len(sentences[0].split())
    for place in sorted(range(1, len(sentences)), key=lambda place: (-_weight(sentences[place], counts), place)):
        size = len(sentences[place].split())
        if words + size <= most and sentences[place] not in (sentences[other] for other in chosen):
            chosen.add(place)
            words += size
    return " ".join(sentences[place] for place in sorted(chosen))


def analysis(text: str) -> str:
    """Return learning objectives, a difficulty level and suggestions, from the text's own words and measures."""
    sentences = split_sentences(text)
    if not sentences:
        return "There is no text to analyze."
    words = [word for sentence in sentences for word in sentence.split()]
    per_sentence = len(words) / len(sentences)
    letters = sum(len(word) for word in words) / len(words)
    level = "Beginner" if per_sentence < 12 and letters < 6 else "Intermediate"
    if per_sentence > 22 or letters > 7:
        level = "Advanced"
    topics = [f"**{word}**" for word in _topics(sentences, 4)] or ["**the text**"]
    longest = max(sentences, key=lambda sentence: len(sentence.split()))
    return "\n".join(
        (
            "## Learning objectives",
            f"- Explain {_listed(topics[:2])} in your own words.",
            f"- Say how {_listed(topics)} belong together.",
            f"- Retell the opening thought: {sentences[0]}",
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
    """Return an answer that quotes the question's opening words and the sentence of the material nearest to them."""
    if not parts:
        return "Ask a question about your course, and I will help you to work it out."
    question, material = parts[-1], "\n\n".join(parts[:-1])
    query = {word for word in _words(question) if word not in _COMMON}
    near = max(split_sentences(material), key=lambda sentence: len(query & set(_words(sentence))), default="")
    lines = [f"You asked: “{opening(question, 12)}”"]
    if near:
        lines += ["", f"Your course material says: {near}"]
    topics = [f"**{word}**" for word in _topics([question], 3)]
    lines += ["", "A good way to work it out:"]
    lines.append(f"- Write down what you already know about {_listed(topics) if topics else 'it'}.")
    lines.append("- Find the place in your course text that speaks of it and say it in your own words.")
    lines.append("- Try one small example, then compare it with a classmate's or ask your teacher.")
    return "\n".join(lines)


def split_sentences(text: str) -> list[str]:
    """Return a text's sentences with white space made plain; of a long text, the sentences of four pieces."""
    if len(text) <= _SAMPLE:
        pieces = [text]
    else:
        size = _SAMPLE // 4
        starts = [(len(text) - size) * number // 3 for number in range(4)]
        pieces = [text[start : start + size] for start in starts]
    found: list[str] = []
    for number, piece in enumerate(pieces):
        inside = [plain for part in _SENTENCE_END.split(piece) if (plain := " ".join(part.split()))]
        if len(pieces) > 1 and len(inside) > 2:  # a piece's edges are rarely the edges of sentences
            inside = inside[1 if number else 0 : -1]
        found += inside
    return found


def opening(text: str, words: int) -> str:
    """Return the first `words` words of a text, at most 160 characters."""
    first = text.split(None, words)
    quoted = " ".join(first[:words])
    return f"{quoted[:160]}…" if len(first) > words or len(quoted) > 160 else quoted


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _weights(sentences: Sequence[str]) -> Counter[str]:
    return Counter(word for sentence in sentences for word in _words(sentence) if word not in _COMMON)


def _weight(sentence: str, counts: Counter[str]) -> float:
    words = _words(sentence)
    return sum(counts[word] for word in words) / (len(words) + 3) if words else 0.0


def _topics(sentences: Sequence[str], most: int) -> list[str]:
    counts = _weights(sentences)
    return sorted(counts, key=lambda word: (-counts[word], -len(word), word))[:most]


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _cut(text: str, limit: int | None) -> Answer:
    size = tokens(text)
    if limit is None or size <= limit:
        return Answer(text, "stop", size)
    shortened = text.encode("utf-8", "replace")[: limit * 4].decode("utf-8", "ignore")
    at_word = shortened.rpartition(" ")[0].rstrip()
    shortened = at_word or shortened  # a first word longer than the limit, or writing without spaces
    return Answer(shortened, "length", tokens(shortened))
