# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m tests.fakes.models tiny|smollm2 OUTDIR``: make a model directory; does nothing if it is there already."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from . import smollm2, tiny

MAKERS = {"tiny": tiny.make, "smollm2": smollm2.make}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=sorted(MAKERS))
    parser.add_argument("outdir", type=Path, help="directory of the model, for example ROOT/gpufleet/tiny-qwen3")
    options = parser.parse_args()
    begun = time.monotonic()
    made = MAKERS[options.model](options.outdir)
    size = sum(each.stat().st_size for each in options.outdir.rglob("*") if each.is_file())
    print("%s %s: %d bytes, %.1f s" % ("made" if made else "kept", options.outdir, size, time.monotonic() - begun))


if __name__ == "__main__":
    main()
