"""The action `summarize`: one call for a text that fits one, else its parts side by side and their summaries together.

The number of calls, their texts and their lengths are decided here; the words are in `prompts`, and the completer
splits.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.core.contract import Request
from sidecar.core.errors import ContextExceeded
from sidecar.core.ports import CompleterPort, Prompt
from sidecar.engine.actions import prompts
from sidecar.engine.actions.limits import Limits
from sidecar.engine.actions.truncate import truncate

AT_ONCE: Final = 8
"""Parts of one text queued at once (HOUSE, "Layers of one request")."""
_PART_LEAST: Final = 64
"""Tokens below which a part's summary says too little: one more round is better than shorter summaries."""
_JOINT: Final = "\n\n"


async def summarize(request: Request, completer: CompleterPort, limits: Limits) -> str:
    """Return the summary of the content, in at most half of `max_tokens`.

    A text that is over the model's context is split again at the size that the refusal taught. Raises the first other
    failure of any call; the other calls are cancelled then.
    """
    while True:
        room = completer.room(limits.context_tokens)
        answer = max(1, limits.max_tokens // 2)
        if room < limits.context_tokens:  # the answer is a part of the context too
            answer = min(answer, max(1, room // 4))
        try:
            return await _summary(request.content, completer, answer=answer, room=room)
        except ContextExceeded as failure:
            if not completer.exceeded(failure, room):
                raise


async def _summary(content: str, completer: CompleterPort, *, answer: int, room: int) -> str:
    """Return the summary of `content`, in at most `answer` tokens, by calls of at most `room` tokens each."""
    tokens = max(1, room * 3 // 4)
    fits = max(tokens, room - answer - prompts.OVERHEAD)

    text, reduced = content, False
    # Every round at least halves the text (see `_join`), so the loop ends whatever the completer answers or splits.
    while len(parts := await completer.split(text, fits=fits, tokens=tokens)) > 1 and len(text) > 1:
        most = _part_tokens(len(parts), fits=fits, tokens=tokens, answer=answer)
        prompt_of = prompts.reduction if reduced else prompts.part
        # Each prompt is made in its turn: those of a text of megabytes would take the loop 20 ms together.
        needed = (prompt_of(part, most, number=number, of=len(parts)) for number, part in enumerate(parts, 1))
        summaries = await _side_by_side(needed, len(parts), completer)
        text, reduced = _join(summaries, len(text) // 2), True
    return await completer.complete(prompts.reduction(text, answer) if reduced else prompts.summary(text, answer))


def _part_tokens(count: int, *, fits: int, tokens: int, answer: int) -> int:
    """Return the limit of each of `count` summaries: together they fit one call, where that leaves enough to say.

    A limit is at most a quarter of a part, so that a model within its limits is done in few rounds.
    """
    together = fits * 3 // 4 // count - 2  # the splitter counts with a margin, and joints are tokens too
    return max(1, min(answer, tokens // 4, max(_PART_LEAST, together)))


def _join(summaries: Sequence[str], room: int) -> str:
    """Return the summaries as one text of at most `room` characters (at least 1).

    Models within their limits stay far below `room`. Where a model exceeds them, each summary loses its end: better
    than losing the last summaries whole, and better than a round that gains nothing.
    """
    joined = _JOINT.join(summaries)
    if len(joined) <= room:
        return joined
    share = max(1, room // len(summaries) - len(_JOINT))
    return truncate(_JOINT.join(truncate(summary, share) for summary in summaries), max(1, room))


async def _side_by_side(needed: Iterator[Prompt], count: int, completer: CompleterPort) -> list[str]:
    """Return the answers in the order of the `count` prompts, with at most `AT_ONCE` of them under way."""
    answers = [""] * count
    waiting = iter(enumerate(needed))
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(min(AT_ONCE, count)):
                group.create_task(_work(waiting, answers, completer), name=f"parts-{number}")
    except BaseExceptionGroup as failures:
        # The first one failed the text; the others failed at the same time or while being cancelled.
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure  # out here, so that the failure has the cause that its adapter gave
    return answers


async def _work(waiting: Iterator[tuple[int, Prompt]], answers: list[str], completer: CompleterPort) -> None:
    for place, prompt in waiting:
        answers[place] = await completer.complete(prompt)
