"""The action `summarize`: one call for a text that fits one, else its parts side by side and their summaries together.

How many calls, of what and how long is decided here; the words are in `prompts`, the splitting is the partner's.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.core.contract import Request
from sidecar.core.ports import CompleterPort, Prompt
from sidecar.engine.actions import prompts
from sidecar.engine.actions.cut import cut
from sidecar.engine.actions.limits import Limits

AT_ONCE: Final = 8
"""Parts of one text queued at once (HOUSE, "Layers of one request")."""
_PART_LEAST: Final = 64
"""Tokens below which a part's summary says too little; rather one more round than shorter ones."""
_JOINT: Final = "\n\n"


async def summarize(request: Request, partner: CompleterPort, limits: Limits) -> str:
    """The summary of the content, in at most half of `max_tokens`.

    Raises the first failure of any of its calls; the others are cancelled then.
    """
    answer = max(1, limits.max_tokens // 2)
    tokens = max(1, limits.context_tokens * 3 // 4)
    fits = max(tokens, limits.context_tokens - answer - prompts.OVERHEAD)

    text, reduced = request.content, False
    # Every round at least halves the text (see `_join`), so this ends whatever the partner answers or splits.
    while len(parts := await partner.split(text, fits=fits, tokens=tokens)) > 1 and len(text) > 1:
        most = _part_tokens(len(parts), fits=fits, tokens=tokens, answer=answer)
        ask = prompts.reduction if reduced else prompts.part
        summaries = await _side_by_side(
            [ask(part, most, number=number, of=len(parts)) for number, part in enumerate(parts, 1)], partner
        )
        text, reduced = _join(summaries, len(text) // 2), True
    return await partner.complete(prompts.reduction(text, answer) if reduced else prompts.summary(text, answer))


def _part_tokens(count: int, *, fits: int, tokens: int, answer: int) -> int:
    """The limit of each of `count` summaries: such that together they fit one call, where that leaves enough to say.

    Never over a quarter of a part, so that a partner who keeps to it is done in few rounds.
    """
    together = fits * 3 // 4 // count - 2  # the splitter counts with a margin, and joints are tokens too
    return max(1, min(answer, tokens // 4, max(_PART_LEAST, together)))


def _join(summaries: Sequence[str], room: int) -> str:
    """The summaries as one text of at most `room` characters (at least 1).

    Models that keep to their limit never come near it. For one that does not, each summary loses its end: better
    than losing the last ones whole, and better than a round that gains nothing.
    """
    joined = _JOINT.join(summaries)
    if len(joined) <= room:
        return joined
    share = max(1, room // len(summaries) - len(_JOINT))
    return cut(_JOINT.join(cut(summary, share) for summary in summaries), max(1, room))


async def _side_by_side(asked: Sequence[Prompt], partner: CompleterPort) -> list[str]:
    """The answers in the order of the prompts, with at most `AT_ONCE` asked for at any time."""
    answers = [""] * len(asked)
    waiting = iter(enumerate(asked))
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(min(AT_ONCE, len(asked))):
                group.create_task(_work(waiting, answers, partner), name=f"parts-{number}")
    except BaseExceptionGroup as failures:
        # The first is what failed the text; the rest failed beside it or while being cancelled.
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure  # out here, so that it keeps the cause its adapter gave it
    return answers


async def _work(waiting: Iterator[tuple[int, Prompt]], answers: list[str], partner: CompleterPort) -> None:
    for place, prompt in waiting:
        answers[place] = await partner.complete(prompt)
