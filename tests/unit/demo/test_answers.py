"""Promises of what the demo provider says and of the shapes it says it in."""

import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.demo import answers, codec
from sidecar.demo.options import Garbage

TEXT = (
    "Photosynthesis is how plants make sugar from light. Water and carbon dioxide go in. "
    "Oxygen comes out of the leaves. Many pupils think that plants eat soil. In fact the mass of a tree comes "
    "mostly from the air. Chlorophyll absorbs red and blue light, which is why leaves look green."
)
SUMMARIZE = "Summarize the text for a pupil."
ANALYZE = "Analyze the text for its teacher."
CHAT = "You are a helpful educational assistant inside Moodle."


def _reply(text: str, limit: int | None = None) -> codec.Reply:
    return codec.Reply(id="chatcmpl-1", created=1, model="m", prompt_tokens=3, answer=answers.answer(CHAT, text, limit))


def test_a_summary_is_made_of_the_texts_own_sentences() -> None:
    """A summary is shorter than its text, starts with the text's first sentence and adds no word of its own."""
    said = answers.answer(SUMMARIZE, TEXT, 500)
    assert said.finish_reason == "stop"
    assert said.text.startswith("Photosynthesis is how plants make sugar from light.")
    assert len(said.text) < len(TEXT)
    assert all(sentence in TEXT for sentence in answers.split_sentences(said.text))


def test_a_long_texts_summary_reaches_its_end() -> None:
    """Of a text too long to be read whole, the end has its say as well."""
    middle = "The chapter goes on with many small matters. " * 2000
    end = "Volcanoes erupt because magma rises; magma rises because magma is lighter than rock. "
    said = answers.summary(TEXT + middle + end * 50)
    assert "magma" in said
    assert len(said.split()) <= 130


def test_an_analysis_has_objectives_a_level_and_suggestions() -> None:
    """An analysis has its three headings and speaks of the text's own topics."""
    said = answers.answer(ANALYZE, TEXT, 500).text
    for heading in ("## Learning objectives", "## Difficulty level", "## Suggestions"):
        assert heading in said
    assert "**leaves**" in said


def test_a_chat_quotes_the_question_and_the_material() -> None:
    """A chat quotes the question's opening words and the sentence of the material that is nearest to it."""
    question = f"<context>\n{TEXT}\n</context>\n\nWhy do leaves look green?"
    said = answers.answer(CHAT, question, 500).text
    assert "“Why do leaves look green?”" in said
    assert "Chlorophyll absorbs" in said


@pytest.mark.parametrize("place", ["system", "earlier"])
def test_a_chat_finds_material_in_other_messages(place: str) -> None:
    """Material that came in the instruction, set apart by markers, or in an earlier message is quoted too."""
    system = f"{CHAT}\n<context>\n{TEXT}\n</context>" if place == "system" else CHAT
    earlier = TEXT if place == "earlier" else ""
    said = answers.answer(system, "Why do leaves look green?", 500, earlier=earlier).text
    assert "Chlorophyll absorbs" in said


@pytest.mark.parametrize(
    ("system", "question", "kind"),
    [
        (SUMMARIZE, "", "summary"),
        ("You write short SUMMARIES of texts.", "", "summary"),
        (ANALYZE, "", "analysis"),
        ("Give an educational analysis. End with a summary.", "", "analysis"),
        (CHAT, "Summarize this", "chat"),
        ("", "Summarize this: …", "summary"),
        ("", "Why is the sky blue?", "chat"),
    ],
)
def test_the_task_is_the_first_one_the_instruction_names(system: str, question: str, kind: str) -> None:
    """The instruction decides; only without one does the question's opening."""
    assert answers.kind_of(system, question) == kind


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<text>", "</text>"),
        ("<<<TEXT", "TEXT>>>"),
        ("<<<TEXT>>>", "<<<END TEXT>>>"),
        ("<text-4f2a>", "</text-4f2a>"),
        ('"""', '"""'),
    ],
)
def test_marker_lines_are_not_part_of_the_text(opening: str, closing: str) -> None:
    """What marker lines set apart is the text; the words before them are instructions."""
    assert answers.blocks(f"Summarize what follows.\n{opening}\n{TEXT}\n{closing}") == [TEXT]


def test_a_text_with_angle_brackets_stays_whole() -> None:
    """Only a line that is nothing but a marker is one."""
    assert answers.blocks("if a < b and b > c:\n  print(x)") == ["if a < b and b > c:\n  print(x)"]


@given(text=st.text(max_size=400), limit=st.integers(1, 60), system=st.sampled_from([SUMMARIZE, ANALYZE, CHAT]))
def test_no_answer_is_blank_over_its_limit_or_different_next_time(text: str, limit: int, system: str) -> None:
    """Whatever the text and the limit: some words, at most as many tokens as allowed, the same each time."""
    said = answers.answer(system, text, limit)
    assert said == answers.answer(system, text, limit)
    assert said.tokens == answers.tokens(said.text) <= limit
    assert said.text.isascii() or said.text.encode()
    if limit >= 8:
        assert said.text


def test_a_cut_answer_says_so() -> None:
    """An answer that its limit cut ends with the reason `length`, at a word where there is one."""
    said = answers.answer(CHAT, "Why is the sky blue?", 10)
    assert said.finish_reason == "length"
    assert 5 <= said.tokens <= 10
    assert answers.answer(CHAT, "Why is the sky blue?", None).text.startswith(said.text + " ")


@given(text=st.text(alphabet="ab \n.", max_size=200))
def test_stream_pieces_join_to_the_text(text: str) -> None:
    """Deltas lose nothing and add nothing."""
    assert "".join(codec.pieces(text)) == text


def test_a_completion_has_openais_shape() -> None:
    """Every field that Moodle's core reads is there, with counts that add up."""
    body = codec.completion(_reply("hi"))
    assert body["object"] == "chat.completion"
    assert body["model"] == "m"
    assert body["system_fingerprint"]
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["message"]["refusal"] is None
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_is_role_deltas_finish_usage_and_done(usage: bool) -> None:
    """Events come in OpenAI's order; the usage event only for those who asked for it."""
    said = _reply("Why is the sky blue?")
    *events, done = list(codec.events(said, usage=usage))
    assert done == b"data: [DONE]\n\n"
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
    if usage:
        last = chunks.pop()
        assert last["choices"] == []
        assert last["usage"] == said.usage()
        assert all(chunk["usage"] is None for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert len(deltas) > 4
    assert "".join(delta.get("content", "") for delta in deltas) == said.answer.text
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:]] == [None, "stop"]


@pytest.mark.parametrize("shape", ["message", "delta"])
def test_garbage_is_what_it_is_called(shape: codec.Shape) -> None:
    """Each kind of garbage spoils the one thing that it names, in answers and in streams."""

    def spoilt(kind: Garbage) -> bytes:
        part = {"role": "assistant", "content": "some words"}
        return codec.garbled(kind, {"choices": [{shape: part}]}, shape)

    def part(kind: Garbage) -> dict[str, object]:
        return dict(json.loads(spoilt(kind))["choices"][0][shape])

    assert part("nocontent")["content"] is None
    assert part("refusal")["refusal"]
    assert part("nul")["content"] == "some words\0"
    assert part("multipart")["content"] == [{"type": "text", "text": "some "}, {"type": "text", "text": "words"}]
    assert json.loads(spoilt("nochoices"))["choices"] == []
    assert isinstance(json.loads(spoilt("wrongtypes"))["choices"], str)
    assert isinstance(json.loads(spoilt("array")), list)
    assert b"\\ud83d" in spoilt("surrogate")
    for kind in ("truncated", "surrogate"):
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(spoilt(kind))


def test_tokens_grow_with_the_text() -> None:
    """Token counts are whole, zero for nothing, and never shrink as a text grows."""
    counts = [answers.tokens("é" * size) for size in range(20)]
    assert counts[0] == 0
    assert all(one <= two for one, two in itertools.pairwise(counts))
