"""What the guides name is there: every command and option of `fargo`, every target of `make`, every file and link."""

import re
import subprocess

import pytest
import typer
from fargo.cli import app
from guides import GUIDES, blocks, commands, mentions
from modules import ROOT

APP = typer.main.get_command(app)
_PATH = re.compile(r"`((?:docs|board|tools|lib|host_tests|firmware|examples)/[\w./-]+)`")
_LINK = re.compile(r"\]\(([^):#]*)(#[^)]*)?\)")


def refused(words, whole=True):
    """Why `fargo` would not take these words, or None. Nothing is run: a command line is only read.

    Not `whole`: what is mandatory may be missing.
    """
    command, context = APP, APP.context_class(APP, info_name="fargo")
    while hasattr(command, "get_command"):
        if not words:
            return "no verb"
        found = command.get_command(context, words[0])
        if found is None:
            return f"no {words[0]!r}"
        command, words = found, words[1:]
    try:
        # Not make_context: a value may be a file that only a reader has.
        command.make_parser(context).parse_args(args=list(words))
    except Exception as error:
        return error.format_message()  # of typer, which keeps the class private
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    missing = [
        option.opts[0] for option in command.params
        if option.opts[0][:1] == "-" and option.required and not option.envvar and not given & set(option.opts)
    ]  # fmt: skip
    return f"{', '.join(missing)} is missing" if missing and whole else None


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_command_of_fargo_exists_with_every_option(page):
    found = commands(page, "fargo")
    assert len(found) >= 10 or page.stem == "porting"
    wrong = {" ".join(words): refused(words) for words in found}
    wrong |= {" ".join(words): refused(words, whole=False) for words in mentions(page, "fargo") if words != ["device"]}
    assert not {words: why for words, why in wrong.items() if why}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_target_of_make_exists(page):
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {word for words in commands(page, "make") + mentions(page, "make") for word in words[:1]}
    assert used <= targets and (used or page.stem == "releases")


def test_on_a_clean_machine_the_guides_make_fargo_first(tmp_path):
    """`make fargo` makes the environment, the maker's guide begins with it, and the others name it."""
    told = ["make", "-n", "fargo", f"VENV={tmp_path}/venv"]
    made = subprocess.run(told, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "pip install" in made
    for page in GUIDES:
        first = (commands(page, "make") + mentions(page, "make"))[0] if page.stem == "maker" else ["fargo"]
        assert first == ["fargo"] and "`make fargo`" in page.read_text() or page.stem == "porting", page.stem


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_file_and_link_is_there(page):
    text = page.read_text()
    for name in _PATH.findall(text):
        assert (ROOT / name.replace("FARGO_CHIP", "FARGO_ESP32")).exists(), name
    for target, anchor in _LINK.findall(text):
        there = page.parent / target if target else page
        assert there.exists(), target
        titles = re.findall(r"^#+ (.*)$", there.read_text(), re.M)
        heads = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        assert not anchor or anchor[1:] in heads, anchor


def test_every_block_is_shell():
    for page in GUIDES:
        for text in blocks(page):
            assert (
                subprocess.run(["bash", "-n"], input=text.encode(), check=False, capture_output=True).stderr == b""
            ), text


def test_a_command_that_is_not_there_is_found():
    assert "--never" in refused(["device", "update", "--device", "x", "--never"])
    assert refused(["device", "fly"]) == "no 'fly'"
    assert "--port" in refused(["board", "provision", "--wifi", "x"])
    assert refused(["board", "provision", "--wifi", "x", "--port", "p"]) is None
