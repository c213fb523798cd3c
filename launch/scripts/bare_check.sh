#!/usr/bin/env bash
# Proves that the README's commands work on a bare machine: Debian 12 from debootstrap (its minimal
# set, git, certificates) in a folder, a fresh clone of this repository's last commit inside,
# chroot, no CUDA toolkit, nothing else.
#
#   launch/scripts/bare_check.sh FOLDER [--quickstart] [--command 'COMMAND'…]
#
# FOLDER must be empty or absent; it grows to about 5 GB and is left for inspection (remove it with
# rm -rf: nothing stays mounted). Needs root and debootstrap. Run by hand, not in CI.
#   (default)       launch/test.sh; then set-up and build once more, which must take < 60 s
#   --quickstart    also launch/quickstart.sh, twice; the second run must take <= 180 s
#   --command C     only the given command(s), in the clone
# Every mount lives in a mount namespace of this script alone, so it is gone when the script ends,
# however it ends. How this machine reaches package archives (apt's configuration, pip.conf, PIP_*
# and proxy variables, certificates) is copied in and not printed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

REPEAT_LIMIT_S=60
QUICKSTART_REPEAT_LIMIT_S=180
CLONE=/root/crossloom

usage="usage: launch/scripts/bare_check.sh FOLDER [--quickstart] [--command 'COMMAND'...]"
[ "$#" -ge 1 ] || die "$usage"
if [ -z "${CROSSLOOM_BARE_CHECK_NAMESPACE:-}" ]; then
  [ "$(id -u)" -eq 0 ] || die "root is needed, for debootstrap, mount and chroot."
  command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
  [ ! -e "$1" ] || [ -z "$(ls -A "$1")" ] || die "'$1' is not empty; name an empty or new folder."
  CROSSLOOM_BARE_CHECK_NAMESPACE=1 exec unshare --mount --propagation private -- "$0" "$@"
fi

mkdir -p "$1"
bare="$(cd "$1" && pwd)"
shift
quickstart=no
commands=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --quickstart) quickstart=yes; shift ;;
    --command) commands+=("${2:?$usage}"); shift 2 ;;
    *) die "unknown option '$1'. $usage" ;;
  esac
done

without_addresses() { sed -E 's#(https?|ftp)://[^ ]+#<archive>#g'; }

# The first archive that this machine's own apt knows; debootstrap's default when there is none.
archive_of_host() {
  { cat /etc/apt/sources.list.d/debian.sources 2>/dev/null | awk '$1 == "URIs:" {print $2}'
    cat /etc/apt/sources.list 2>/dev/null | awk '$1 == "deb" {print $2}'; } | grep -m1 '^http' || true
}

make_system() {
  local archive
  archive="$(archive_of_host)"
  say "Debian 12 (bookworm), minimal, into $bare"
  debootstrap --variant=minbase --include=git,ca-certificates bookworm "$bare" ${archive:+"$archive"} 2>&1 |
    without_addresses | grep -E '^(W|E):|Base system' || true
  [ -x "$bare/usr/bin/git" ] || die "debootstrap failed; see $bare/debootstrap/debootstrap.log"
  mount -t proc proc "$bare/proc"
  mount --rbind /dev "$bare/dev"
  mount --rbind /sys "$bare/sys"
}

# How this machine reaches package archives, for a chroot on the same network.
copy_access() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf /etc/apt/apt.conf.d \
              /etc/apt/auth.conf.d /etc/apt/keyrings /etc/apt/trusted.gpg.d /etc/pip.conf \
              /etc/resolv.conf /etc/hosts; do
    if [ -e "$file" ]; then
      rm -rf "${bare:?}$file"
      cp -rL "$file" "$bare$file"
    fi
  done
  mkdir -p "$bare/usr/local/share/ca-certificates"
  cp -rL /usr/local/share/ca-certificates/. "$bare/usr/local/share/ca-certificates/" 2>/dev/null || true
  chroot "$bare" update-ca-certificates >/dev/null 2>&1
}

# inside COMMAND: run it in the clone, with a clean environment but for the way to the archives.
inside() {
  local name passed=()
  for name in $(compgen -e | grep -iE '^PIP_|_proxy$|^SSL_CERT_FILE$' | grep -v FIND_LINKS || true); do
    passed+=("$name=${!name}")
  done
  chroot "$bare" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    ${passed[@]+"${passed[@]}"} bash -c "cd $CLONE && $1" 2>&1
}

# timed TITLE LIMIT_S COMMAND: fails when the command does, or when it takes longer than LIMIT_S.
timed() {
  local started="$SECONDS" took
  say "inside: $3"
  inside "$3" || die "failed on the bare machine: $3"
  took=$((SECONDS - started))
  say "$1: $took s"
  [ "$took" -le "$2" ] || die "$1 took $took s; the limit is $2 s."
}

make_system
copy_access
[ -z "$(git -C "$ROOT" status --porcelain)" ] || say "uncommitted changes are not part of the clone."
git clone --quiet --no-local "$ROOT" "$bare$CLONE"
say "clone of commit $(git -C "$bare$CLONE" rev-parse --short HEAD); nvcc inside: $(inside 'command -v nvcc' || echo none)"

if [ "${#commands[@]}" -gt 0 ]; then
  for command in "${commands[@]}"; do timed "took" 7200 "$command"; done
  exit 0
fi
timed "set-up, build and tests from nothing" 5400 launch/test.sh
timed "set-up and build, second run" "$REPEAT_LIMIT_S" "launch/test.sh --build-only"
if [ "$quickstart" = yes ]; then
  timed "quickstart" 3600 launch/quickstart.sh
  timed "quickstart, second run" "$QUICKSTART_REPEAT_LIMIT_S" launch/quickstart.sh
fi
say "the bare machine passes"
