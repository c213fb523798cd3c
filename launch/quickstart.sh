#!/usr/bin/env bash
# From nothing to a trained cross-layer transcoder, its report and an attribution graph.
#
#   launch/quickstart.sh [--smoke] [--model DIR] [--text FILE_OR_DIR] [--prompt TEXT] [--output DIR]
#
# Set-up and release build (launch/setup.sh), a host model and English prose, then the main job:
# harvest, train, eval, graph, on two MPI ranks. Nothing needs editing. A second start uses what is
# there: shards, checkpoint, report and graph are made once.
#   --smoke    the same on a tenth of the text, for CI (the main job: about a minute)
#   --model    your own Hugging Face folder (config.json, *.safetensors, tokenizer.json)
#   --text     your own plain text: a file, or a folder of .txt files
#   --output   where everything goes (runs/quickstart; --smoke: runs/smoke)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"

smoke=no model="" text="" output="" prompt="The President of the United States lives in the White"
while [ "$#" -gt 0 ]; do
  case "$1" in
    --smoke) smoke=yes; shift; continue ;;
    --model | --text | --prompt | --output) [ "$#" -ge 2 ] || die "$1 needs a value" ;;
    *) die "unknown option '$1'; known: --smoke, --model, --text, --prompt, --output" ;;
  esac
  case "$1" in
    --model) model="$2" ;;
    --text) text="$2" ;;
    --prompt) prompt="$2" ;;
    --output) output="$2" ;;
  esac
  shift 2
done

# Paths are the caller's; the work below is done in the source folder.
absolute() { [ -z "$1" ] || realpath -m -- "$1"; }
model="$(absolute "$model")" text="$(absolute "$text")" output="$(absolute "$output")"

# The sizes: tokens harvested, optimizer steps of 1,024 tokens, features that get a row in the graph,
# the held-out NMSE above which training did not learn.
if [ "$smoke" = yes ]; then
  tokens=10240 steps=9 rows=300 windows=2 limit=0.98 output="${output:-$ROOT/runs/smoke}"
else
  tokens=100000 steps=110 rows=2000 windows=8 limit=0.8 output="${output:-$ROOT/runs/quickstart}"
fi
if [ -n "$model$text" ]; then limit=0.98; fi  # how fast one's own model and text are learnt, nobody knows
[ -z "$model" ] || [ -f "$model/config.json" ] || die "there is no model in '$model'" "expected: config.json, *.safetensors and tokenizer.json"
[ -z "$text" ] || [ -e "$text" ] || die "there is no text at '$text'" "expected: a UTF-8 file, or a folder of .txt files"

"$ROOT/launch/setup.sh"
cd "$ROOT"
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release --target crossloom -j "$(build_jobs)"; } >build/quickstart.log 2>&1; then
  tail -n 40 build/quickstart.log >&2
  die "the build failed; all of it is in build/quickstart.log"
fi
say "set-up and build took $SECONDS s"

if [ -z "$model" ]; then
  model="$DEPS/model/smollm2-135m-instruct"
  launch/scripts/get_model.sh "$model" || die "the model could not be fetched (message above)" "Offline? Use your own: --model DIR"
fi
if [ -z "$text" ]; then
  text="$DEPS/text"
  launch/scripts/get_text.sh "$text" || die "the text could not be fetched (message above)" "Offline? Use your own: --text FILE_OR_DIR"
fi

# ranks COMMAND…: the program on two ranks; each takes half of the cores.
crossloom="$ROOT/build/release/crossloom"
threads=$(( ($(nproc) + 1) / 2 ))
export OMP_WAIT_POLICY=passive OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_rmaps_base_oversubscribe=1
if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
ranks() { mpirun -np 2 --bind-to none -x OMP_NUM_THREADS="$threads" "$crossloom" "$@"; }

started="$SECONDS"
mkdir -p "$output"
say "1/4 harvest: $tokens tokens of activations into HDF5 shards"
ranks harvest "$model" --text "$text" --output "$output/shards" --max_tokens "$tokens"
say "2/4 train: clt-topk over all layers, $steps steps"
ranks train --data "$output/shards" --output "$output/run" --steps "$steps"
if [ ! -f "$output/run/eval.json" ]; then
  say "3/4 eval: held-out quality, the replacement model"
  ranks eval "$output/run" --data "$output/shards" --model "$model" --windows "$windows"
fi
slug="prompt-$(printf '%s' "$prompt" | cksum | cut -d' ' -f1)"  # another prompt is another graph
if [ ! -f "$output/graphs/$slug.scores.json" ]; then
  say "4/4 graph: $prompt"
  "$crossloom" graph "$output/run" --model "$model" --prompt "$prompt" --output "$output/graphs" \
    --slug "$slug" --max_feature_nodes "$rows"
fi
"$VENV_PYTHON" launch/scripts/quickstart_summary.py "$output" "$slug" "$limit"
say "the main job took $((SECONDS - started)) s, everything $SECONDS s"
