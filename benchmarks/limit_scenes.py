"""Scenes of bench_limits.py: the provider's limits, the demo provider's options for them, and the callers.

A scene's `World` is that of the tests in virtual time, so that both have the same limits.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import NamedTuple

from rig import ROOT, Command, post, sidecar

sys.path.insert(0, str(ROOT))

from sidecar.demo.answers import tokens
from sidecar.demo.options import Voice
from sidecar.engine.actions import prompts
from tests.support.worlds import Bucket, World

FOREVER = 1e9
"""Seconds; JSON has no infinity."""
MAX_TOKENS = 100
"""The most tokens of an answer, in every candidate: a call costs at least as many."""
TEXTS = (50, 200, 1500, 100, 300)
"""Tokens of the callers' texts, by turns, where tokens are limited."""


class Scene(NamedTuple):
    """One provider, and the voice in which it refuses."""

    world: World
    voice: Voice = "openai"

    @property
    def by_turns(self) -> bool:
        return len(self.world.slots) > 1

    @property
    def slowest(self) -> float:
        """Bound on the last answer, as a multiple of the ideal."""
        return 1.6 if self.by_turns else 1.25

    @property
    def most_refused(self) -> float:
        """Bound on the refused calls for one answered call."""
        return 0.3 if self.by_turns else 0.2

    def demo_words(self) -> list[str]:
        """Return the demo provider's options."""
        world = self.world
        words = ["--voice", self.voice, "--latency", str(world.hold)]
        if self.by_turns:
            words += ["--slots-by-turns", ",".join(f"{slots}:{seconds:g}" for slots, seconds in world.slots)]
        elif world.slots:
            words += ["--slots", str(world.slots[0][0])]
        for name, bucket in (("rpm", world.requests), ("tpm", world.tokens)):
            if bucket is not None:
                words += [f"--{name}", f"{bucket.rate * 60:.0f}", f"--{name}-burst", f"{bucket.burst:.0f}"]
        return [*words, *(["--count-refused"] if world.counts_refused else [])]

    def bodies(self) -> list[bytes]:
        """Return the callers' chats, each of another user."""
        return [
            json.dumps({"action": "chat", "content": content(number, self.world), "user_id": number}).encode()
            for number in range(self.world.callers)
        ]


@contextlib.contextmanager
def ours(upstream: str, **env: str) -> Iterator[tuple[str, Command]]:
    """Run the sidecar with the scenes' settings and answer one request first, so that the SDK is loaded."""
    words = ("--concurrency", "64", "--request-timeout", "25", "--max-tokens", str(MAX_TOKENS))
    with sidecar(upstream, *words, **env) as (url, command):
        post(f"{url}/ai", {"action": "chat", "content": f"Is the SDK of {url} loaded?"})
        yield url, command


def content(number: int, world: World) -> str:
    """Return a caller's text, distinct for each number."""
    size = 4 * TEXTS[number % len(TEXTS)] if world.tokens else 200
    start = f"{number:04}: "
    return start + ("Why does the moon look larger near the horizon? " * (size // 48 + 1))[: size - len(start)]


def messages(text: str) -> list[dict[str, str]]:
    """Return the messages that the sidecar sends to the provider for a chat."""
    prompt = prompts.chat(text, None, MAX_TOKENS)
    return [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]


def cost(text: str) -> int:
    """Return the tokens that the demo provider counts for a chat."""
    return max(MAX_TOKENS, sum(4 + tokens(message["content"]) for message in messages(text)))


def _slots(count: int, seconds: float, name: str, *, sidecars: int = 1) -> World:
    return World(name=name, slots=((count, FOREVER),), hold=seconds, sidecars=sidecars)


def _in_voice(voice: Voice) -> Scene:
    return Scene(_slots(16, 0.4, f"16 slots, {voice}"), voice)


def _tokens() -> World:
    any_tokens = World(name="", tokens=Bucket(1, 1))
    sizes = tuple(cost(content(number, any_tokens)) for number in range(len(TEXTS)))
    return World(name="tokens a minute, uneven texts", tokens=Bucket(20_000, 40_000), sizes=sizes)


SCENES = {
    "openai": _in_voice("openai"),
    "azure": _in_voice("azure"),
    "bare": _in_voice("bare"),
    "503": _in_voice("503"),
    "529": _in_voice("529"),
    "gemini": _in_voice("gemini"),
    "openrouter": _in_voice("openrouter"),
    "long": _in_voice("long"),
    "reset": _in_voice("reset"),
    "queue": _in_voice("queue"),
    "four": Scene(_slots(4, 0.12, "4 slots")),
    "one": Scene(_slots(1, 0.04, "1 slot, bare"), "bare"),
    "bucket60": Scene(World(name="bucket of 60 at 1,500 a minute", requests=Bucket(25, 60))),
    "bucket10": Scene(World(name="bucket of 10 at 1,200 a minute", requests=Bucket(20, 10))),
    "both": Scene(World(name="12 slots, bucket of 60", slots=((12, FOREVER),), requests=Bucket(25, 60), hold=0.3)),
    "turns": Scene(World(name="32 and 6 by turns of 3 s", slots=((32, 3), (6, 3)))),
    "tokens": Scene(_tokens()),
    "counted": Scene(World(name="bucket of 60, refusals count", requests=Bucket(25, 60), counts_refused=True)),
    "three": Scene(_slots(16, 0.4, "three sidecars, 16 slots", sidecars=3)),
}
