# Stands in for get-pip.py, which ansible-test downloads from a site of its own: pip comes from the interpreter, the
# version that ansible-test pins comes from the package index.
from __future__ import annotations

import ensurepip
import os
import subprocess
import sys

environment = dict(os.environ)  # ensurepip switches pip's configuration off for the whole process
ensurepip.bootstrap()
# The real script installs setuptools and wheel unless told not to; ours never does.
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
if any(not word.startswith("-") for word in arguments):
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", *arguments], env=environment)
