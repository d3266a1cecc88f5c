"""The action `analyze`: an educational analysis of the content, in one call."""

from sidecar.core.contract import Request
from sidecar.core.ports import CompleterPort
from sidecar.engine.actions import prompts
from sidecar.engine.actions.limits import Limits


async def analyze(request: Request, completer: CompleterPort, limits: Limits) -> str:
    """Return learning objectives, difficulty level and suggestions for improvement, in the content's language."""
    return await completer.complete(prompts.analysis(request.content, limits.max_tokens))
