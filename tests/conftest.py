"""What every test of the collection shares: import path, order, logs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COLLECTIONS = ROOT / ".cache" / "collections"
LINK = COLLECTIONS / "ansible_collections" / "gpufleet" / "vllm"
#: cheap and telling first; a folder that is not named runs before the lab
ORDER = ("tests/static", "tests/unit", "tests/lab", "tests/molecule", "tests/e2e")


def _link_collection() -> None:
    """Make gpufleet.vllm importable by its full name; `make bootstrap` does the same."""
    if not LINK.is_symlink():
        LINK.parent.mkdir(parents=True, exist_ok=True)
        LINK.symlink_to(ROOT)
    sys.path.insert(0, str(COLLECTIONS))


_link_collection()
os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(ROOT).as_posix()
    ranks = [number for number, prefix in enumerate(ORDER) if path.startswith(prefix + "/")]
    return ranks[0] if ranks else 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)  # stable: the order inside a folder stays


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the collection."""
    return ROOT


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Folder for logs, screenshots and reports that outlive the run."""
    path = Path(os.environ.get("GPUFLEET_ARTIFACTS", ROOT / "artifacts"))
    path.mkdir(parents=True, exist_ok=True)
    return path
