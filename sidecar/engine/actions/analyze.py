"""The action `analyze`: an educational analysis of the content, in one call."""

from sidecar.core.contract import Request
from sidecar.core.ports import CompleterPort
from sidecar.engine.actions import prompts
from sidecar.engine.actions.limits import Limits


async def analyze(request: Request, partner: CompleterPort, limits: Limits) -> str:
    """Learning objectives, difficulty level and suggestions for improvement, in the language of the content."""
    return await partner.complete(prompts.analysis(request.content, limits.max_tokens))
