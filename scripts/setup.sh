#!/bin/sh
# Make .venv, or bring it up to date, with the pinned dependencies; with `bare`, only make it.
set -eu
cd "$(dirname "$0")/.."

# MLX on a Mac is for Apple silicon: a Python that runs under Rosetta will not do.
fits='import platform, sys
mac = sys.platform == "darwin"
sys.exit(sys.version_info < (3, 11) or (mac and platform.machine() != "arm64"))'

if ! .venv/bin/python -c "import pip; $fits" 2>/dev/null; then
    found=
    for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if "$python" -c "$fits" 2>/dev/null; then found=$python && break; fi
    done
    if [ -z "$found" ]; then
        echo "yofo needs Python 3.11 or newer (on a Mac, one built for Apple silicon): none found." >&2
        echo "Install one, or say where it is: make PYTHON=/path/to/python3.12 ..." >&2
        exit 2
    fi
    echo "Setting up .venv with $("$found" --version); this takes up to two minutes, once."
    # Some systems ship venv without its own copy of pip.
    "$found" -m venv --clear .venv >/dev/null 2>&1 || {
        "$found" -m venv --clear --without-pip .venv &&
            "$found" -m pip --python .venv/bin/python install -qq pip
    } || {
        echo "$found cannot make a virtual environment: it has neither ensurepip nor pip." >&2
        echo "Install them (Debian: python3-venv), or name another: make PYTHON=/path/to/python ..." >&2
        exit 2
    }
fi

[ "${1:-}" = bare ] && exit

# uv installs in a tenth of pip's time, but does not read pip's settings: with a mirror, pip does it.
python=.venv/bin/python
if ! "$python" -m pip config get global.index-url >/dev/null 2>&1 && [ -z "${PIP_INDEX_URL:-}" ]; then
    "$python" -m pip install -qq -c constraints.txt uv 2>/dev/null || true
fi
install() {
    UV_HTTP_RETRIES=1 .venv/bin/uv pip install -q --python "$python" -c constraints.txt -e "$1" 2>/dev/null ||
        "$python" -m pip install -qq -c constraints.txt -e "$1"
}
install '.[dev]'

# Ten times faster matrix products on Linux; everything works without.
if [ "$(uname)" = Linux ]; then
    { install '.[fast-cpu]' && .venv/bin/python -m yofo_mlx.system.blas; } >/dev/null 2>&1 ||
        echo "No faster BLAS for this machine: training on the CPU will be slow."
fi
touch .venv/ready
