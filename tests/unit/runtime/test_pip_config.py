# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pip's configuration says must reach uv, whichever of pip's ways says it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.module_utils import _pip_config as pip_config


def read(home: Path, **environment: str) -> dict[str, list[str]]:
    """pip's configuration with a home of its own; the machine's files count too, as the weakest."""
    return pip_config.read({"HOME": str(home), "XDG_CONFIG_DIRS": str(home / "none"), **environment})


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_are_read_the_later_one_wins_and_variables_win_over_them(tmp_path: Path) -> None:
    write(tmp_path / ".pip/pip.conf", "[global]\nindex-url = http://old.example/simple\ntimeout = 7\n")
    write(tmp_path / ".config/pip/pip.conf", "[global]\nindex-url = http://user.example/simple\n")
    only = write(tmp_path / "only.conf", "[install]\nfind_links =\n  /srv/a\n  /srv/b\n")
    found = read(tmp_path, PIP_CONFIG_FILE=str(only), PIP_TRUSTED_HOST="a.example b.example")
    assert found["index-url"] == ["http://user.example/simple"]
    assert found["timeout"] == ["7"]
    assert found["find-links"] == ["/srv/a", "/srv/b"]
    assert found["trusted-host"] == ["a.example", "b.example"]
    assert read(tmp_path, PIP_INDEX_URL="http://env.example")["index-url"] == ["http://env.example"]


def test_dev_null_means_no_files_and_a_broken_file_counts_as_empty(tmp_path: Path) -> None:
    write(tmp_path / ".pip/pip.conf", "[global]\nindex-url = http://old.example/simple\n")
    assert read(tmp_path, PIP_CONFIG_FILE="/dev/null") == {}
    broken = write(tmp_path / "broken.conf", "index-url = http://nowhere.example\n")
    assert read(tmp_path, PIP_CONFIG_FILE=str(broken))["index-url"] == ["http://old.example/simple"]


def test_uv_gets_every_setting_in_its_own_words(tmp_path: Path) -> None:
    there = tmp_path / "wheels"
    there.mkdir()
    result = pip_config.uv_environment(
        {
            "index-url": ["http://i.example/simple"],
            "extra-index-url": ["http://x.example/simple", "file:///not/there"],
            "find-links": [str(there), "/not/there", "https://f.example/page"],
            "cert": ["/etc/ssl/ca.pem"],
            "proxy": ["http://p.example:3128"],
            "trusted-host": ["i.example"],
            "timeout": ["180"],
        }
    )
    assert result["UV_DEFAULT_INDEX"] == "http://i.example/simple"
    assert result["UV_INDEX"] == "http://x.example/simple"
    # pip only warns about a missing folder, uv would stop.
    assert result["UV_FIND_LINKS"] == "%s,https://f.example/page" % there
    assert result["SSL_CERT_FILE"] == "/etc/ssl/ca.pem"
    assert result["HTTPS_PROXY"] == result["HTTP_PROXY"] == "http://p.example:3128"
    assert result["UV_INSECURE_HOST"] == "i.example"
    assert result["UV_HTTP_TIMEOUT"] == "180"


def test_options_win_over_uv_s_own_settings_and_those_over_pip_s() -> None:
    configuration = {"index-url": ["http://pip.example"], "extra-index-url": ["http://more.example"], "no-index": ["1"]}
    inherited = {"UV_DEFAULT_INDEX": "http://uv.example", "UV_INDEX": "http://uvmore.example"}
    kept = pip_config.uv_environment(configuration, inherited=inherited)
    assert kept["UV_DEFAULT_INDEX"] == "http://uv.example"
    assert kept["UV_INDEX"] == "http://uvmore.example"
    mirrored = pip_config.uv_environment(configuration, index_url="http://mirror.example")
    assert mirrored["UV_DEFAULT_INDEX"] == "http://mirror.example"
    assert "UV_INDEX" not in mirrored
    assert "UV_NO_INDEX" not in mirrored
    asked = pip_config.uv_environment(configuration, "http://mirror.example", ["http://asked.example"], [], inherited)
    assert asked["UV_DEFAULT_INDEX"] == "http://mirror.example"
    assert asked["UV_INDEX"] == "http://uvmore.example http://asked.example"


def test_passwords_in_addresses_never_show() -> None:
    places = ["https://me:s%2Fcret@a.example/simple http://b.example", "file:///srv"]
    secrets = pip_config.passwords(places)
    assert secrets == {"s%2Fcret", "s/cret"}
    text = pip_config.scrub(
        "asked https://me:s%2Fcret@a.example/simple and http://you:other@c.example; s/cret", secrets
    )
    assert "cret" not in text
    assert "other" not in text
    assert "a.example/simple" in text
