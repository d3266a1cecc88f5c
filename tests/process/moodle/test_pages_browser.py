"""Promises of an answer on the deployed plugin's two pages, in a real browser: nothing lost, nothing live."""

import json
from collections.abc import Callable

import pytest

from tests.support.chromium import chromium, needs_chromium
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import post, running
from tests.support.pages import chat_page, widget

ANSWER = """# Fractions

If $x<y$ then `Vec<int>` is fine, and a<b too.
Second line & more.

1. one
   - nested
2. two

| Fraction | Decimal |
|---|---|
| 1/2 |
| 1/4 | 0.25 | more |

```html
<b onclick="live()">
```

<img src=x onerror="document.title='live'"><script>document.title='live'</script>
<code><img src=x onerror="document.title='live'"></code>
[a](javascript:document.title='live') [b](https://example.org)
"""
SHOWN = """Fractions
If $x<y$ then Vec<int> is fine, and a<b too.
Second line & more.
one
nested
two
Fraction|Decimal
1/2
1/4|0.25|more
<b onclick="live()">
<img src=x onerror="document.title='live'"><script>document.title='live'</script>
<code><img src=x onerror="document.title='live'"></code>
[a](javascript:document.title='live') b"""


@needs_chromium
@pytest.mark.parametrize("shown", [widget, chat_page], ids=lambda page: page.__name__)
async def test_an_answer_is_read_as_it_was_meant(shown: Callable[[str], str]) -> None:
    """Headings, lines, lists and tables are seen as such; formulas, types and markup are text."""
    async with running(HeldUpstream(text=ANSWER), FORMAT="") as sidecar, chromium() as tab:
        page = shown((await sidecar.fetch(post())).json["data"])
        await tab.run("document.title = 'quiet'; document.body.innerHTML = '<div id=\"answer\"></div>'")
        await tab.run(f"document.getElementById('answer').innerHTML = {json.dumps(page)}")
        await tab.run("document.querySelectorAll('a').forEach((link) => link.dispatchEvent(new Event('click')))")
        seen = str(await tab.run("document.getElementById('answer').innerText")).replace("\t", "|")
        counted = await tab.run(
            "['h3', 'br', 'ol', 'ul', 'table', 'tr', 'pre', 'a'].map((name) => document.querySelectorAll(name).length)"
        )
        live = await tab.run("document.querySelectorAll('img, script, [onclick], [onerror], [style]').length")
        title = await tab.run("document.title")
    assert [line for line in seen.split("\n") if line] == SHOWN.split("\n")
    assert counted == [1, 3, 1, 1, 1, 3, 1, 1]
    assert (live, title) == (0, "quiet")
