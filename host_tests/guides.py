"""The commands in the guides: blocks of docs/*.md, and what is in them.

A block fenced with ```sh needs no board: all of them in a page are one session, run as it stands (sim/test_guides_run.py).
One that begins with `# another terminal` is left running. A block fenced with ```console needs a board, or another
machine, or is an example: its commands are checked, and never run.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from modules import ROOT

GUIDES = [ROOT / "docs" / f"{name}.md" for name in ("maker", "releases", "operator", "porting")]
BACKGROUND = "# another terminal"
_BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.M | re.S)
_INLINE = re.compile(r"`((?:fargo|make) [^`\n]+)`")
_ENDS = {"&&", "||", "|", ";", "do", "done", "then", "if", "while", "!", ")", "("}


def blocks(page: Path, kind: str = "") -> list[str]:
    """The text of the blocks of a page, in order, of one kind or of both."""
    return [text for found, text in _BLOCK.findall(page.read_text()) if kind in ("", found)]


def commands(page: Path, program: str) -> list[list[str]]:
    """Every call of `program` in the blocks of a page, as arguments, without the program."""
    return _calls(program, [line for text in blocks(page) for line in text.replace("\\\n", " ").splitlines()])


def mentions(page: Path, program: str) -> list[list[str]]:
    """Likewise what its sentences name; what goes without saying may be left out there."""
    return _calls(program, _INLINE.findall(_BLOCK.sub("", page.read_text())))


def _calls(program: str, lines: list[str]) -> list[list[str]]:
    found = []
    for line in lines:
        words: list[str] = []
        for word in [*_words(line), ";"]:
            if word in _ENDS or word[0] in "<>":
                if words and words[0] == program:
                    found.append(words[1:])
                words = []
            elif words or "=" not in word.split("/")[0]:  # not a variable in front of a command
                words.append(word)
    return found


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)
