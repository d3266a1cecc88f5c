"""The action `chat`: an answer to the content, with the context before it as material.

The stand-in for a context that is too long is decided here; its wording is in `prompts`.
"""

from typing import Final

from sidecar.core.contract import Request
from sidecar.core.errors import ContextExceeded, SidecarError
from sidecar.core.ports import CompleterPort, Prompt
from sidecar.engine.actions import prompts
from sidecar.engine.actions.limits import Limits
from sidecar.engine.actions.truncate import truncate

_WITHIN: Final = 0.4
"""The share of the time left that the context's summary may take (CONTRACT, "What the actions do")."""
_BYTES_A_TOKEN: Final = 3
"""Low for English (4 to 5) and right for Chinese (3), so that most texts cut by it fit. Where one does not, the
provider refuses the summary and the context's opening stands in: cheaper than a tokenizer on every long context."""


async def chat(request: Request, completer: CompleterPort, limits: Limits) -> str:
    """Return the answer to the content. A context that cannot be summarized is cut; the chat goes on."""
    if (prompt := only_prompt(request, limits)) is None:
        material = await _condensed(request.context, completer, limits)
        prompt = prompts.chat(request.content, material, limits.max_tokens)
    return await completer.complete(prompt)


def only_prompt(request: Request, limits: Limits) -> Prompt | None:
    """Return the prompt of a chat that makes one call; None where its context has to be summarized first."""
    context, material = request.context, None
    if context and not context.isspace():
        if len(context) > limits.summarize_threshold:
            return None
        material = prompts.Material(text=context)
    return prompts.chat(request.content, material, limits.max_tokens)


async def _condensed(context: str, completer: CompleterPort, limits: Limits) -> prompts.Material:
    tokens = completer.room(limits.context_tokens)
    prompt = prompts.context(_opening(context, max(1, tokens * 3 // 4)), max(1, limits.max_tokens // 2), within=_WITHIN)
    try:
        return prompts.Material(text=await completer.complete(prompt), state="condensed")
    except SidecarError as failure:
        if isinstance(failure, ContextExceeded):
            completer.exceeded(failure, tokens)  # for the next one: this request's time for a summary is used
        # After any failure the chat still has a call and a time of its own, and half a context beats no answer.
        return prompts.Material(text=truncate(context, limits.summarize_threshold), state="cut")


def _opening(text: str, tokens: int) -> str:
    """Return the opening of `text` that has about `tokens` tokens."""
    most = tokens * _BYTES_A_TOKEN
    head = text[:most].encode("utf-8", "replace")[:most]
    return truncate(text, max(1, len(head.decode("utf-8", "ignore"))))
