"""What a one-shot process loads: a PHP worker starts one for each click while the server is away."""

from pathlib import Path

from sidecar.demo.provider import Demo
from sidecar.runtime.late_module import LATE
from tests.support.stdio_command import CHAT, php_flags, run

NEVER = {
    *("argparse", "gettext", "locale", "html", "dataclasses", "concurrent.futures.thread", "hashlib", "tomllib"),
    *("uuid", "decimal", "numbers", "string"),
    *("openai", "aiohttp", "pydantic", "httpx2", "uvloop", "h11", "redis", "arq", "sqlite3", "markdown_it", "nh3"),
    *("aiohappyeyeballs", "semantic_text_splitter", "typing_extensions", "sidecar.wiring", "sidecar.service"),
    *("sidecar.engine.completions", "sidecar.engine.background", "sidecar.engine.limiter.streams"),
    *("sidecar.engine.quotas", "sidecar.config.tokens", "sidecar.provider.answers.stream", "sidecar.cli.flags"),
}
"""Modules that a chat over http:// with an answer of plain paragraphs and lists needs nothing of."""
MOST = 205
"""Modules beside those that the environment loads at the start; each costs 0.25 ms on a slow machine."""


async def test_a_chat_loads_what_it_uses(demo: Demo, tmp_path: Path) -> None:
    """And no more: the last word of the process is the list of its modules."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "leave, before = os._exit, set(sys.modules)\n"
        "def last(code):\n"
        "    new = [name for name in sys.modules if name not in before and not late(sys.modules[name])]\n"
        f"    with open({str(tmp_path / 'modules')!r}, 'w') as file:\n"
        "        file.write(' '.join(new))\n"
        "    leave(code)\n"
        "def late(module):\n"
        "    return type(module).__name__ == 'LateModule'\n"
        "os._exit = last\n"
    )
    ended = await run(CHAT, *php_flags(demo), PYTHONPATH=str(tmp_path))
    assert ended.replies[0]["data"].startswith("<code hidden></code><p>")
    loaded = (tmp_path / "modules").read_text().split()
    assert "sidecar.oneshot" in loaded
    assert not (NEVER | LATE.keys()).intersection(loaded)
    assert len(loaded) <= MOST
