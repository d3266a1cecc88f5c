"""The action `analyze`: an educational analysis of the content, in one call."""

from sidecar.engine.actions import prompts
from sidecar.engine.actions.limits import Limits
from sidecar.words.contract import Request
from sidecar.words.ports import Partner


async def analyze(request: Request, partner: Partner, limits: Limits) -> str:
    """Learning objectives, difficulty level and suggestions for improvement, in the language of the content."""
    return await partner.complete(prompts.analysis(request.content, limits.max_tokens))
