"""`make lock`: writes requirements/*.txt from requirements/*.in, with hashes and without addresses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tools.tracked import ROOT

#: lock -> oldest Python it must serve
LOCKS = {"bootstrap": "3.11", "control": "3.11", "up": "3.11", "dev": "3.11", "sanity-2.21": "3.13"}


def main() -> None:
    uv = Path(sys.executable).with_name("uv")
    for name, python in LOCKS.items():
        source, target = (ROOT / "requirements" / (name + suffix) for suffix in (".in", ".txt"))
        options = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
        command = [uv, "pip", "compile", *options, "--python-version", python, source, "-o", target, *sys.argv[1:]]
        subprocess.run(command, check=True)
        print("wrote %s" % target.relative_to(ROOT))


if __name__ == "__main__":
    main()
