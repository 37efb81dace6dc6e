# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host on the machine's network gets from the machine: certificates, name servers, apt and pip settings.

Everything is read from the programs' own configuration; nothing about this machine is written down anywhere.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlparse

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# Settings of programs that fetch packages and take them from the environment only.
ENVIRONMENT = re.compile(
    r"(?i)(https?|no|all|ftp)_proxy|UV_(DEFAULT_INDEX|INDEX|EXTRA_INDEX_URL|NATIVE_TLS|SYSTEM_CERTS)"
)
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def apt_mirrors() -> tuple[str, str]:
    """This machine's Debian mirror and security mirror; empty strings where it has none."""
    main, security = "", ""
    for uri, suite in _apt_sources():
        if "-security" in suite:
            security = security or uri
        elif re.fullmatch(r"[a-z]+", suite) and "/debian" in uri:
            main = main or uri
    return main, security


def _apt_sources() -> list[tuple[str, str]]:
    """(URI, suite) of every binary source that apt knows here, in both file formats."""
    found = []
    folder = Path("/etc/apt/sources.list.d")
    for path in [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else []:
            match = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line)
            if match:
                found.append((match[1].rstrip("/"), match[2]))
    for path in sorted(folder.glob("*.sources")):
        for block in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*)$", block))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes").lower() != "no":
                found += [
                    (uri.rstrip("/"), suite)
                    for uri in fields.get("URIs", "").split()
                    for suite in fields.get("Suites", "").split()
                ]
    return found


def sources_list(release: str) -> str:
    """sources.list lines of ``release`` at this machine's mirrors; empty when no mirror is known."""
    main, security = apt_mirrors()
    lines = []
    if main:
        lines += [f"deb {main} {release} main", f"deb {main} {release}-updates main"]
    if security:
        lines.append(f"deb {security} {release}-security main")
    return "".join(f"{line}\n" for line in lines)


def apt_options() -> list[str]:
    """The machine's apt settings that decide whether its mirror can be used (proxy, certificates, date checks)."""
    if not shutil.which("apt-config"):
        return []
    dump = subprocess.run(["apt-config", "dump"], text=True, capture_output=True, check=True).stdout
    wanted = re.compile(r'Acquire::(https?|ftp|Check-Valid-Until|Check-Date|Retries|ForceIPv[46])\S* "[^"]+";')
    return [line for line in dump.splitlines() if wanted.match(line)]


def pip_settings() -> dict[str, str]:
    """The machine's pip configuration, files and PIP_* environment together, as `pip config list` resolves it."""
    settings: dict[str, str] = {}
    for line in _pip_config_list().splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        if section in ("global", "install", ":env:") and name:
            settings[name] = " ".join(shlex.split(value))
    for name, value in os.environ.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            settings[name[4:].lower().replace("_", "-")] = value
    for unwanted in ("cache-dir", "target", "prefix", "user", "require-virtualenv"):
        settings.pop(unwanted, None)
    if "cert" in settings:
        settings["cert"] = str(BUNDLE)
    return settings


def _pip_config_list() -> str:
    """`pip config list` of the first pip that answers: the interpreter's, then one on the PATH."""
    for command in (["python3", "-m", "pip"], ["pip"], ["pip3"]):
        if shutil.which(command[0]):
            result = subprocess.run([*command, "config", "list"], text=True, capture_output=True, check=False)
            if result.returncode == 0:
                return result.stdout
    return ""


def local_indexes(settings: dict[str, str]) -> list[str]:
    """The folders of this machine that pip's settings name; a host sees them at the same paths, read-only."""
    found = []
    for name in ("find-links", "index-url", "extra-index-url"):
        for word in settings.get(name, "").split():
            url = urlparse(word)
            path = Path(unquote(url.path) if url.scheme == "file" else word)
            if path.is_absolute() and path.exists():
                # An index page links to files beside it, and those lie in a neighbour of `simple`.
                found.append(str(path.parent if path.name == "simple" and len(path.parts) > 2 else path))
    return sorted(set(found))


def environment() -> dict[str, str]:
    """Variables for /etc/environment: proxies, uv's indexes, and the certificate bundle where the machine needs one."""
    found = {name: value for name, value in os.environ.items() if ENVIRONMENT.fullmatch(name)}
    for name in CERTIFICATES:
        if os.environ.get(name):
            found[name] = str(BUNDLE.parent if name.endswith("_DIR") else BUNDLE)
    return found


def certificate_bundle() -> Path | None:
    """The bundle that this machine trusts."""
    chosen = os.environ.get("SSL_CERT_FILE")
    candidates = [*([Path(chosen)] if chosen else []), BUNDLE, Path("/etc/pki/tls/certs/ca-bundle.crt")]
    return next((path for path in candidates if path.is_file()), None)


def local_certificates() -> list[Path]:
    """Certificates that the machine's administrator added (ca-certificates' folder for them)."""
    return sorted(Path("/usr/local/share/ca-certificates").rglob("*.crt"))
