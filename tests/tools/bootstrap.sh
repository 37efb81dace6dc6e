#!/bin/sh
# bootstrap.sh control|up|dev: brings .cache/venv to the state of requirements/<mode>.txt.
# Starts from a bare Debian 12 machine. Does nothing when the lock has not changed since the last time.
set -eu

mode=${1:-dev}
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=$root/.cache
venv=$cache/venv
mkdir -p "$cache"

# Two targets may run at once; the second waits and then finds everything done.
exec 9>"$cache/bootstrap.lock"
flock 9

suits() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

find_python() {
    for python in ${PYTHON:-} python3.11 python3.12 python3.13 python3 /usr/bin/python3; do
        if suits "$python"; then
            command -v "$python"
            return
        fi
    done
}

pip_setting() { # value of pip's configuration, whether from a file or from PIP_*
    "$venv/bin/python" -m pip config list 2>/dev/null |
        sed -n "s/^\(:env:\|[a-z]*\)\.$1='\(.*\)'\$/\2/p" | tail -n 1
}

link_collection() { # gpufleet.vllm by its full name, straight from this folder
    mkdir -p "$cache/collections/ansible_collections/gpufleet"
    ln -sfn "$root" "$cache/collections/ansible_collections/gpufleet/vllm"
}

make_venv() {
    python=$(find_python)
    if [ -z "$python" ]; then
        echo "bootstrap: no Python 3.11 to 3.13 with venv found; installing Debian's python3-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qqy python3-venv >/dev/null
        python=$(find_python)
    fi
    if [ -z "$python" ]; then
        echo "bootstrap: [runtime.python_unsuitable] a Python from 3.11 to 3.13 is needed. Install one, or name it: make PYTHON=/path/to/python3.12" >&2
        exit 1
    fi
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
        --require-hashes -r "$root/requirements/bootstrap.txt"
}

wanted() {
    cat "$root/requirements/bootstrap.txt" "$root/requirements/$1.txt" | sha256sum | cut -d' ' -f1
}

current() { # is the environment in the state of this lock?
    [ "$(cat "$venv/.locked-$1" 2>/dev/null)" = "$(wanted "$1")" ]
}

install_lock() {
    name=$1
    if current "$name"; then
        return
    fi
    index=$(pip_setting index-url)
    cert=$(pip_setting cert)
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    [ -z "$cert" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$cert}"
    export UV_PYTHON_DOWNLOADS=never UV_HTTP_TIMEOUT=180 UV_LINK_MODE=copy
    echo "bootstrap: installing requirements/$name.txt"
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r "$root/requirements/$name.txt"
    wanted "$name" >"$venv/.locked-$name"
}

if ! [ -x "$venv/bin/uv" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    make_venv
fi
link_collection
# each holds all of the one before, in the same versions: a fuller one that is there already will do
case $mode in
control) current up || current dev || install_lock control ;;
up) current dev || install_lock up ;;
*) install_lock "$mode" ;;
esac
