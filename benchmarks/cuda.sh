#!/usr/bin/env bash
# Exactness and long steps on a CUDA device, in at most 8 minutes, without a network:
#
#   benchmarks/cuda.sh WHEELS OUT          # OUT/measured.csv, OUT/steps.csv, OUT/log
#   benchmarks/cuda.sh --try WHEELS OUT    # a very small model, on whatever device is there
#
# WHEELS is a folder with the wheels of mlx, mlx-cuda-13, mlx-lm, and of what python3 (PYTHON=...) has
# not yet of their and yofo's dependencies; "-" takes what is installed. A wheel may lie there cut
# into pieces: `split -b 50M X.whl X.whl.`. CUDA's libraries may come from PyTorch's packages.
set -uo pipefail

SECONDS=0
LIMIT=${LIMIT:-460} # seconds; the rest of 8 minutes is for what starts and ends
tiny=
[ "${1:-}" = --try ] && tiny=yes && shift
if [ $# -ne 2 ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
wheels=$1
mkdir -p "$2" || exit
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
exec > >(tee -a "$out/log") 2>&1

left() { echo $((LIMIT - SECONDS)); }
within() { # SECONDS COMMAND...: no longer than that, nor than what is left
    local most=$1
    shift
    [ "$most" -gt "$(left)" ] && most=$(left)
    [ "$most" -le 0 ] && echo "no time left for: $*" && return 124
    timeout "$most" "$@"
}

export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if [ "$wheels" != - ]; then
    [ -d "$wheels" ] || { echo "no folder $wheels"; exit 2; }
    cp "$wheels"/*.whl "$work" 2>/dev/null
    for first in "$wheels"/*.whl.aa; do
        [ -e "$first" ] && cat "${first%aa}"?? >"$work/$(basename "${first%.aa}")"
    done
    ls "$work"/*.whl >/dev/null 2>&1 || { echo "no wheels in $wheels"; exit 2; }
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
        --target "$work/site" "$work"/*.whl || exit
    PYTHONPATH="$work/site:$PYTHONPATH"
    # MLX looks for cuDNN and cuBLAS beside itself; another environment has them elsewhere.
    libraries=$("$PYTHON" -c 'import glob, site, sys
places = [*site.getsitepackages(), *sys.path]
print(":".join(sorted({x for p in places for x in glob.glob(f"{p}/nvidia/*/lib")})))')
    export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

echo "== device, $(date -u +%FT%TZ)"
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null ||
    echo "no nvidia-smi"
within 60 "$PYTHON" -c 'import sys, mlx.core as mx, mlx_lm
print(mx.__version__, mlx_lm.__version__, mx.default_device(), mx.device_info())
sys.exit(sys.argv[1] != "yes" and mx.default_device() == mx.Device(mx.cpu))' "$tiny" ||
    { echo "MLX has no GPU here (--try for a CPU)"; exit 1; }

status=0
echo "== exactness, $(left) s left"
if [ $tiny ]; then
    within 60 "$PYTHON" "$here/exactness.py" --table "$out/measured.csv" --architectures llama || status=1
else
    within 90 "$PYTHON" "$here/exactness.py" --table "$out/measured.csv" || status=1
fi

echo "== a model of Mistral's shape in 4 bits, $(left) s left"
name=mistral lengths="8192 16384 32768 65536"
[ $tiny ] && name=mistral-thin lengths="256 512"
within 90 "$PYTHON" "$here/models.py" "$name" "$work/$name" --bits 4 || exit

echo "== steps, $(left) s left"
# shellcheck disable=SC2086 # the lengths are words
within "$(left)" "$PYTHON" "$here/table.py" --model "$work/$name" --lengths $lengths --rounds 1 \
    --methods yofo mlx-lm "yofo thin" --budget "$(left)" --no-plot --out "$work/steps" || status=1
if [ -e "$work/steps/measured.csv" ]; then
    cp "$work/steps/steps.csv" "$out"
    if [ -e "$out/measured.csv" ]; then
        tail -n +2 "$work/steps/measured.csv" >>"$out/measured.csv"
    else
        cp "$work/steps/measured.csv" "$out"
    fi
fi
echo "== done after $SECONDS s, status $status"
exit $status
