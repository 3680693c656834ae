"""What the documents say is there, is there."""

import ast
import re

from modules import ROOT

NAMED = re.compile(r"`((?:unit|interop|sim|fuzz|powercut)/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_that_security_names_exists():
    named = NAMED.findall((ROOT / "docs/security.md").read_text())
    assert len(named) > 60
    missing = []
    for file, name in named:
        path = ROOT / "host_tests" / file
        functions = set()
        if path.exists():
            functions = {n.name for n in ast.walk(ast.parse(path.read_text())) if hasattr(n, "name")}
        if not path.exists() or (name and name not in functions):
            missing.append(f"{file}::{name}")
    assert not missing


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
