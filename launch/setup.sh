#!/usr/bin/env bash
# Everything a bare machine needs to build, test and run Crossloom on its CPU cores.
#
#   launch/setup.sh
#
# Debian 12 on x86-64 is what this is tested on; Ubuntu 24.04 is expected to work. Root, or sudo
# (asked only when a system package is missing). What it does, in this order, each step skipped
# when its result is already there, so that it may be interrupted and run again at any time:
#   1. system packages, without recommended ones;
#   2. .deps/venv    a small Python environment for the model conversion (no torch in it);
#   3. .deps/torch   LibTorch's headers and CPU libraries out of the torch wheel;
#   4. .deps/nvidia  two small libraries that libtorch_cpu.so links, GPU or not.
# Whatever is fetched from the Python package index is compared with the checksums recorded here.
# The user's own Python is neither used nor changed. `device: cuda` needs libtorch_cuda.so and
# NVIDIA's libraries on top, which a GPU machine's own Python torch 2.11.0 brings.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"

TORCH_VERSION=2.11.0
TORCH_WHEEL=torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl
TORCH_SHA256=7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
CUDART_WHEEL=nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
CUDART_SHA256=7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
CUPTI_WHEEL=nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl
CUPTI_SHA256=4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
NEEDED_MB=2500  # packages 1.1 GB, LibTorch 0.5 GB, its wheel 0.5 GB while it is unpacked, venv 0.1 GB

PACKAGES=(
  g++ cmake ninja-build ccache mold           # build
  libopenmpi-dev openmpi-bin libhdf5-dev      # ranks, shards
  libyaml-cpp-dev nlohmann-json3-dev          # configuration, formats
  libcli11-dev libpcre2-dev libxxhash-dev     # command line, tokenizer patterns, checksums
  libhwy-dev                                  # vector kernels, chosen by CPU at run time
  libgtest-dev libgmock-dev                   # tests
  clang                                       # tests: parsers under sanitizers and libFuzzer
  python3 python3-venv python3-h5py           # model conversion, a test that reads shards
  ca-certificates)

# check_machine: stops where this script cannot work, says where it is untested.
check_machine() {
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    die "this is $(uname -s) on $(uname -m); the recorded LibTorch is for Linux on x86-64." \
        "Elsewhere: install torch $TORCH_VERSION yourself and pass -DLIBTORCH=<its folder> to cmake."
  command -v apt-get >/dev/null ||
    die "no apt-get on this machine. Install by hand what these Debian packages hold:" "${PACKAGES[*]}"
  . /etc/os-release
  case "$ID-${VERSION_ID:-}" in
    debian-12) PACKAGES+=(libclang-rt-14-dev) ;;
    ubuntu-24.04) PACKAGES+=(libclang-rt-18-dev); say "Ubuntu 24.04: expected to work, tested on Debian 12." ;;
    *) PACKAGES+=(libclang-rt-dev); say "${PRETTY_NAME:-this system}: untested, written for Debian 12." ;;
  esac
}

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done
}

install_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" -eq 0 ]; then
    say "1/4 system packages: all there"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      die "system packages are missing, and this is neither root nor a machine with sudo. Ask for:" \
          "apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  say "1/4 system packages: installing ${missing[*]}"
  say "    (from nothing: 205 MB to fetch, 0.9 GB on disk, one to three minutes)"
  # The first line finishes what an interrupted run left half configured.
  if ! { "${as_root[@]}" dpkg --configure -a &&
         "${as_root[@]}" apt-get update -q &&
         "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
           apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$DEPS/apt.log" 2>&1; then
    tail -n 15 "$DEPS/apt.log" >&2
    die "apt-get could not install the packages (end of $DEPS/apt.log above)." \
        "Offline? Connect, or check /etc/apt/sources.list*, and run this again."
  fi
}

make_venv() {
  local wanted="$ROOT/launch/scripts/requirements.txt" stamp="$DEPS/venv/requirements.txt"
  if cmp -s "$wanted" "$stamp" && "$VENV_PYTHON" -c 'import gguf' 2>/dev/null; then
    say "2/4 conversion venv: there"
    return
  fi
  say "2/4 conversion venv: gguf, numpy, safetensors (20 MB to fetch, 110 MB on disk, half a minute)"
  rm -rf "$DEPS/venv"
  "$SYSTEM_PYTHON" -m venv "$DEPS/venv"
  "$VENV_PYTHON" -m pip install --disable-pip-version-check --no-cache-dir --quiet --no-deps \
    --only-binary=:all: --require-hashes -r "$wanted" ||
    die "pip could not install the conversion packages (its message is above)." \
        "Offline? Connect and run this again. Behind a proxy or mirror? Set it for pip." \
        "Packages and checksums: launch/scripts/requirements.txt"
  "$VENV_PYTHON" -c 'import gguf, numpy, safetensors'
  cp "$wanted" "$stamp"
}

torch_is_there() {
  grep -qs "^__version__ = '$TORCH_VERSION" "$DEPS/torch/version.py" && [ -e "$DEPS/torch/lib/libtorch_cpu.so" ]
}

get_torch() {
  if torch_is_there; then
    say "3/4 LibTorch $TORCH_VERSION: there"
    return
  fi
  [ ! -e "$DEPS/torch" ] || die "$DEPS/torch is not torch $TORCH_VERSION. Remove it and run this again."
  say "3/4 LibTorch $TORCH_VERSION: 531 MB to fetch, 492 MB on disk, about a minute on a fast line"
  # One fixed file, whatever Python this machine has: only its C++ side is used.
  fetch_wheel "torch==$TORCH_VERSION" "$TORCH_WHEEL" "$TORCH_SHA256" \
    --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 || exit 1
  # Left out: Python's side and libtorch_cuda.so (510 MB), which needs 2 GB of NVIDIA libraries.
  "$SYSTEM_PYTHON" "$ROOT/launch/scripts/unpack_wheel.py" "$DOWNLOADS/$TORCH_WHEEL" torch "$DEPS/torch" \
    'include/*' version.py lib/libtorch_cpu.so lib/libc10.so lib/libc10_cuda.so 'lib/libgomp*'
  rm -f "$DOWNLOADS/$TORCH_WHEEL"
}

# get_cuda_library NAME==VERSION WHEEL SHA256 LIBRARY: one library into .deps/nvidia/cu13/lib,
# where the RPATH of .deps/torch/lib/libtorch_cpu.so looks for it.
get_cuda_library() {
  local target="$DEPS/nvidia/cu13/lib"
  [ ! -e "$target/$4" ] || return 0
  say "    $1"
  fetch_wheel "$1" "$2" "$3" || exit 1
  rm -rf "$DEPS/nvidia/unpacked"
  "$SYSTEM_PYTHON" "$ROOT/launch/scripts/unpack_wheel.py" "$DOWNLOADS/$2" nvidia/cu13/lib "$DEPS/nvidia/unpacked" "$4"
  mkdir -p "$target"
  mv "$DEPS/nvidia/unpacked/$4" "$target/$4"
  rm -rf "$DEPS/nvidia/unpacked" "${DOWNLOADS:?}/$2"
}

get_cuda_libraries() {
  local library=libtorch_cpu.so
  if [ -e "$DEPS/nvidia/cu13/lib/libcudart.so.13" ] && [ -e "$DEPS/nvidia/cu13/lib/libcupti.so.13" ]; then
    say "4/4 cudart and CUPTI: there"
  else
    say "4/4 cudart and CUPTI, which $library links: 13 MB to fetch, 5 MB on disk"
  fi
  get_cuda_library nvidia-cuda-runtime==13.0.96 "$CUDART_WHEEL" "$CUDART_SHA256" libcudart.so.13
  get_cuda_library nvidia-cuda-cupti==13.0.85 "$CUPTI_WHEEL" "$CUPTI_SHA256" libcupti.so.13
  "$SYSTEM_PYTHON" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$DEPS/torch/lib/$library" ||
    die "$DEPS/torch/lib/$library does not load (reason above)." \
        "Remove $DEPS/torch and $DEPS/nvidia and run this again."
}

check_space() {
  local free_mb
  free_mb="$(df -Pm "$DEPS" | awk 'NR == 2 {print $4}')"
  if [ "$free_mb" -lt "$NEEDED_MB" ] && ! torch_is_there; then
    die "$free_mb MB free at $DEPS, about $NEEDED_MB MB needed. Free some space and run this again."
  fi
}

main() {
  check_machine
  mkdir -p "$DEPS"
  rm -rf "$DEPS"/.unpacking.*  # left by a run that was killed
  check_space
  install_packages
  make_venv
  get_torch
  get_cuda_libraries
  say "ready after $SECONDS s"
}
main
