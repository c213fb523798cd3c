#!/usr/bin/env bash
# From a fresh clone to a tested build.
#
#   launch/test.sh [--all] [--build-only]
#
# Set-up (launch/setup.sh), then the parsers of everything that comes from outside (safetensors,
# tokenizer, configurations) built with clang under ASan, UBSan and libFuzzer and tested, then the
# release build and all its tests. Ends with ctest's summary; exit code 0 only when all passed.
#   --all         also the tests labelled slow, everything that touches LibTorch under ASan + UBSan,
#                 and 300 s of fuzzing for each parser instead of 10
#   --build-only  stop before the tests
# Model and text for the golden tests are fetched into .deps/ on the first run. Without a network
# those tests are reported as skipped. Set CROSSLOOM_MODEL_FOLDER (a converted SmolLM2-135M-Instruct),
# CROSSLOOM_PERMUTED_MODEL_FOLDER and CROSSLOOM_TEXT_FOLDER to use what lies elsewhere;
# CROSSLOOM_FUZZ_SECONDS for another length of fuzzing. The summaries are kept in
# build/test_summary.txt.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"

SUMMARY="$ROOT/build/test_summary.txt"
all=no
build_only=no
failed=()

for argument in "$@"; do
  case "$argument" in
    --all) all=yes ;;
    --build-only) build_only=yes ;;
    *) die "unknown option '$argument'; known: --all, --build-only" ;;
  esac
done

# fetch_inputs: model and text of the golden tests; what cannot be had is said, not an error.
fetch_inputs() {
  export CROSSLOOM_MODEL_FOLDER="${CROSSLOOM_MODEL_FOLDER:-$DEPS/model/smollm2-135m-instruct}"
  export CROSSLOOM_PERMUTED_MODEL_FOLDER="${CROSSLOOM_PERMUTED_MODEL_FOLDER:-$DEPS/model/smollm2-135m-permuted}"
  export CROSSLOOM_TEXT_FOLDER="${CROSSLOOM_TEXT_FOLDER:-$DEPS/text}"
  if ! { "$ROOT/launch/scripts/get_model.sh" "$CROSSLOOM_MODEL_FOLDER" &&
         "$ROOT/launch/scripts/get_model.sh" "$CROSSLOOM_PERMUTED_MODEL_FOLDER" --permuted &&
         "$ROOT/launch/scripts/get_text.sh" "$CROSSLOOM_TEXT_FOLDER"; }; then
    say "WARNING: model or text could not be fetched; the tests that need them will be reported as skipped."
  fi
}

# build PRESET
build() {
  local started="$SECONDS"
  say "build: $1 (log: build/$1.log)"
  if ! { cmake --preset "$1" && cmake --build --preset "$1" -j "$(build_jobs)"; } >"$ROOT/build/$1.log" 2>&1; then
    grep -E -B2 -A12 'error|Error|FAILED' "$ROOT/build/$1.log" | head -n 60 >&2
    die "the $1 build failed; all of it is in build/$1.log"
  fi
  say "build: $1 took $((SECONDS - started)) s"
}

# run_tests TITLE CTEST_PRESET: ctest's output as it comes; its summary also goes to $SUMMARY.
run_tests() {
  local log="$ROOT/build/$2-tests.log"
  say "tests: $1"
  ctest --preset "$2" 2>&1 | tee "$log" || failed+=("$1")
  { echo "== $1"; sed -n '/tests passed, /,$p' "$log"; } >>"$SUMMARY"
}

cd "$ROOT"
mkdir -p build
rm -f "$SUMMARY"
if [ "$(id -u)" -eq 0 ]; then  # Open MPI asks for this
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
if [ "$all" = yes ]; then
  export CROSSLOOM_FUZZ_SECONDS="${CROSSLOOM_FUZZ_SECONDS:-300}"
else
  export CROSSLOOM_FUZZ_SECONDS="${CROSSLOOM_FUZZ_SECONDS:-10}"
fi

launch/setup.sh
build parsers-asan
build release
if [ "$all" = yes ]; then build asan; fi
say "set-up and build took $SECONDS s"
if [ "$build_only" = yes ]; then exit 0; fi

fetch_inputs
run_tests "parsers under sanitizers, fuzzing" parsers-asan
if [ "$all" = yes ]; then
  run_tests "everything under sanitizers" asan
  run_tests "release, slow ones too" all
else
  run_tests "release" release
fi

printf '\n'
say "set-up, build and tests took $SECONDS s. Summaries:"
cat "$SUMMARY"
if [ "${#failed[@]}" -gt 0 ]; then
  die "failed: $(printf '%s; ' "${failed[@]}")see build/*-tests.log"
fi
