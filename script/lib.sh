# Functions that the scripts share. Source it: . "$(dirname "$0")/lib.sh"
# shellcheck shell=bash
set -euo pipefail

SLUICE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' blue=$'\e[36m' plain=$'\e[0m'
else
  bold='' dim='' red='' green='' yellow='' blue='' plain=''
fi

script_started=$(date +%s)
elapsed() { printf '%d:%02d' $((($(date +%s) - script_started) / 60)) $((($(date +%s) - script_started) % 60)); }
heading() { printf '\n%s==> %s%s %s(%s)%s\n' "$bold$blue" "$*" "$plain" "$dim" "$(elapsed)" "$plain"; }
say() { printf '    %s\n' "$*"; }
good() { printf '  %s✓%s %s\n' "$green" "$plain" "$*"; }
warn() { printf '  %s!%s %s\n' "$yellow" "$plain" "$*" >&2; }
die() { printf '%serror:%s %s\n' "$bold$red" "$plain" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
now_ms() { date +%s%3N; }

# usage_if_asked ARGUMENTS…: -h, --help or help as the first prints the comment at the head of the script, and ends it.
usage_if_asked() {
  case ${1:-} in
    -h|--help|help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  esac
}
# usage_error TEXT: what is wrong with the arguments.
usage_error() { printf '%s: %s; %s --help says how it is used\n' "$0" "$1" "$0" >&2; exit 2; }

# as_root COMMAND…: runs it as root without ever asking for a password; 1 where that is impossible.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"
  else return 1
  fi
}
can_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }

# node_major: the major version of the node on PATH, 0 if there is none.
node_major() { node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }

# node_modules DIR: what DIR/package-lock.json names, exactly, installed once.
node_modules() {
  local dir=$1 stamp=$1/node_modules/.sluice-installed want
  want=$(cksum <"$dir/package-lock.json")
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
  say "installing the packages of ${dir#"$SLUICE_ROOT"/}/package-lock.json"
  (cd "$dir" && npm ci --no-audit --no-fund --loglevel=error) || die "npm ci failed in $dir"
  printf '%s\n' "$want" >"$stamp"
}

# build_preset PRESET [TARGET…]: configure and build, with as many jobs as cores and memory allow.
build_preset() {
  local preset=$1; shift
  local jobs memory_jobs
  jobs=$(nproc)
  # A unit that includes Beast or ANTLR needs about 1.5 GB.
  memory_jobs=$(awk '/MemAvailable/ {print int($2 / 1500000)}' /proc/meminfo)
  [ "$memory_jobs" -ge 1 ] || memory_jobs=1
  [ "$jobs" -le "$memory_jobs" ] || jobs=$memory_jobs
  (cd "$SLUICE_ROOT" && cmake --preset "$preset" ${SLUICE_CMAKE_FLAGS:-} >"$SLUICE_ROOT/build/.configure.log" 2>&1) || {
    cat "$SLUICE_ROOT/build/.configure.log" >&2
    die "cmake --preset $preset failed"
  }
  cmake --build "$SLUICE_ROOT/build/$preset" --parallel "$jobs" ${1:+--target "$@"} || die "the build failed"
}

# wait_for SECONDS TEXT COMMAND…: runs COMMAND every 100 ms until it succeeds.
wait_for() {
  local deadline=$(($(now_ms) + $1 * 1000)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$(now_ms)" -lt "$deadline" ] || { warn "gave up waiting for $what"; return 1; }
    sleep 0.1
  done
}

# is_alive PID: a live process that is not a zombie.
is_alive() { [ -r "/proc/$1/stat" ] && [ "$(awk '{print $3}' "/proc/$1/stat" 2>/dev/null)" != Z ]; }

# stop_process PID [SECONDS]: SIGTERM, then SIGKILL; only for processes that the caller started.
stop_process() {
  local pid=$1 deadline=$(($(now_ms) + ${2:-10} * 1000))
  kill -TERM "$pid" 2>/dev/null || return 0
  while is_alive "$pid"; do
    [ "$(now_ms)" -lt "$deadline" ] || { kill -KILL "$pid" 2>/dev/null || true; break; }
    sleep 0.05
  done
  wait "$pid" 2>/dev/null || true
}

# program NAME [PRESET]: the path of a built program.
program() {
  local found=$SLUICE_ROOT/build/${2:-release}/bin/$1
  [ -x "$found" ] || die "$1 has not been built; run script/build"
  printf '%s\n' "$found"
}

# start_flowd DATA LISTEN LOG [FLOWD]: starts `flowd dev`, waits until it serves; sets flowd_pid and flowd_url.
start_flowd() {
  local data=$1 listen=$2 log=$3 flowd=${4:-$(program flowd)}
  : >"$log.ready"
  "$flowd" dev --data "$data" --listen "$listen" >"$log.ready" 2>>"$log" </dev/null &
  flowd_pid=$!
  local deadline=$(($(now_ms) + 60000))
  until grep -q '^ready ' "$log.ready"; do
    is_alive "$flowd_pid" || { tail -20 "$log" >&2; die "flowd ended before it was ready"; }
    [ "$(now_ms)" -lt "$deadline" ] || { tail -20 "$log" >&2; die "flowd was not ready within 60 s"; }
    sleep 0.02
  done
  flowd_url=$(sed -n '1s/^ready //p' "$log.ready")
}

# stop_private_postgres DATA: a private PostgreSQL under DATA that outlived its flowd.
stop_private_postgres() {
  local file pid
  while IFS= read -r file; do
    pid=$(head -1 "$file" 2>/dev/null || true)
    [ -n "$pid" ] && is_alive "$pid" && grep -q postgres "/proc/$pid/comm" && kill -INT "$pid" 2>/dev/null
  done < <(find "$1" -maxdepth 4 -name postmaster.pid 2>/dev/null)
  return 0
}
