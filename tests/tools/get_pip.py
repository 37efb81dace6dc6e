# Stands in for get-pip.py, which ansible-test downloads from a site of its own: the pip that ansible-test pins comes
# from the package index instead, by uv (which takes a fraction of a second) or by the interpreter's own pip.
from __future__ import annotations

import ensurepip
import os
import shutil
import subprocess
import sys

# The real script installs setuptools and wheel unless told not to; ours never does.
packages = [word for word in sys.argv[1:] if not word.startswith("-")]
uv = shutil.which("uv")
if uv and subprocess.call([uv, "pip", "install", "--quiet", "--python", sys.executable, *packages]) == 0:
    sys.exit(0)
environment = dict(os.environ)  # ensurepip switches pip's configuration off for the whole process
ensurepip.bootstrap()
subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", *packages], env=environment)
