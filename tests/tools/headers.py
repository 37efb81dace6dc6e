#!/usr/bin/env python3
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and shapes of the tensors of checkpoints, from the classes of transformers on the meta device.

    PYTHON tests/tools/headers.py tests/unit/planner/data/models NAME... > tests/unit/planner/data/checkpoints.jsonl

PYTHON is one that has transformers. A row is a model: its tensors as [name with # for the layer, shape, layers].
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def tensors(config):
    import torch
    import transformers

    made = transformers.AutoConfig.for_model(**config)
    name = config["architectures"][0]
    with torch.device("meta"):
        model = getattr(transformers, name)(made)
    out = {}
    for key, value in model.state_dict().items():
        found = re.match(r"(.*?(?:layers|blocks)\.)(\d+)(\..*)", key)
        place = (found.group(1) + "#" + found.group(3) if found else key, tuple(value.shape))
        out.setdefault(place, []).append(int(found.group(2)) if found else -1)
    return [[name, list(shape), ranges(layers)] for (name, shape), layers in out.items()]


def ranges(numbers):
    """Consecutive numbers as [first, last]."""
    out = []
    for number in sorted(numbers):
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return out


def main():
    directory, *names = sys.argv[1:]
    for name in names:
        config = json.loads((Path(directory) / (name + ".json")).read_text())
        config.pop("quantization_config", None)
        try:
            print(json.dumps({"model": name, "tensors": tensors(config)}), flush=True)
        except Exception as error:  # the row is left out, and why is told
            print("%s: %s" % (name, str(error)[:300]), file=sys.stderr)


if __name__ == "__main__":
    main()
