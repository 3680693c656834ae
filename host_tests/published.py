"""Figures that runs of the tests leave in build/reliability, for what is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "build/reliability"


def write(name: str, figures: dict[str, Any]) -> None:
    """NAME.json."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
