"""What failed in the last `make test`, once more and one at a time: `python host_tests/again.py`, for CI.

Many tests drive whole devices against the clock, four at once, on machines that others share. One that fails beside others
and passes alone says little of what was changed, and much of itself: it is named loudly, to be mended. One that fails alone
too, or more than `FEW` at once, are a fault.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = ROOT / ".pytest_cache/v/cache/lastfailed"
FEW = 3


def main() -> None:
    failed = sorted(json.loads(FAILED.read_text())) if FAILED.exists() else []
    if not failed or len(failed) > FEW or not all("::" in name for name in failed):
        sys.exit(f"{len(failed) or 'No'} tests are known to have failed: see above. Up to {FEW} would be tried again.")
    print(f"\n{len(failed)} failed beside others. Once more, alone:", *failed, sep="\n  ", flush=True)
    code = subprocess.run([sys.executable, "-m", "pytest", "-q", *failed], cwd=ROOT, check=False).returncode
    if code == 0:
        print("\nPASSED ALONE, BUT FAILED BESIDE OTHERS, to be mended:", *failed, sep="\n  ")
    sys.exit(code)


if __name__ == "__main__":
    main()
