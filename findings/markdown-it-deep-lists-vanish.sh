#!/usr/bin/env bash
# markdown-it-py 4.3.0: with the preset "commonmark", list items below the ninth level vanish.
#
# Guess:     rendering loses no text: what a parser will not nest any deeper is
#            flattened or shown as it was written.
# Behaviour: the preset's `maxNesting` is 20, and each level of a list takes two.
#            Items below the ninth level are in neither the tokens nor the HTML,
#            without a word; 20 levels of quotation leave nothing at all. The
#            presets "default" and "js-default" nest to 100 and lose nothing here.
# Matters:   models asked for an outline of a long text, and mails quoted often,
#            come that deep; part of an answer is missing and nothing tells.
#
# Output seen:
#   commonmark: 9 of 12 list levels, text quoted 20 times lost
#   default: 12 of 12 list levels, text quoted 20 times there
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check markdown-it-py==4.3.0

"$dir/venv/bin/python" - <<'PY'
import sys

from markdown_it import MarkdownIt

OUTLINE = "\n".join("  " * level + f"- level{level:02}" for level in range(12))
QUOTED = "> " * 20 + "the oldest mail\n"


def rendered(preset):
    """How many of twelve levels the HTML has, and whether a text quoted 20 times is in it."""
    parser = MarkdownIt(preset)
    outline = parser.render(OUTLINE)
    levels = sum(f"level{level:02}" in outline for level in range(12))
    there = "the oldest mail" in parser.render(QUOTED)
    print(f"{preset}: {levels} of 12 list levels, text quoted 20 times {'there' if there else 'lost'}")
    return levels, there


strict, loose = rendered("commonmark"), rendered("default")
if strict != (9, False):
    sys.exit("changed: another number of levels is kept")
if loose != (12, True):
    sys.exit("changed: the default preset loses text")
PY
