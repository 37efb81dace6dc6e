# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m tests.fakes.hub --root DIR``: serve until killed; the port goes to --port-file and to standard output."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from .repositories import Repositories
from .server import Hub


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory with <org>/<name>[@<ref>]/")
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port, once it listens")
    parser.add_argument("--token", default=os.environ.get("FAKE_HUB_TOKEN"), help="refuse requests without this token")
    parser.add_argument("--lfs-bytes", type=int, default=1 << 20, help="files from this size on are large files")
    parser.add_argument("--page", type=int, default=1000, help="files per page of a list")
    parser.add_argument("--frozen", action="store_true", help="the models do not change: look through each once")
    options = parser.parse_args()
    models = Repositories(options.root.resolve(), options.lfs_bytes)
    models.frozen = options.frozen
    hub = Hub((options.bind, options.port), models, options.token or None, options.page)
    port = hub.server_address[1]
    if options.port_file:
        temporary = options.port_file.with_name(options.port_file.name + ".tmp")
        temporary.write_text("%d\n" % port, encoding="utf-8")
        temporary.replace(options.port_file)
    print(port, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        hub.serve_forever()


if __name__ == "__main__":
    main()
