# Sourced by each functional test: a HOME of its own, the image in place, and what a test needs to say what it expects.
set -euo pipefail

export XDG_RUNTIME_DIR=   # unset: the runtime folder is /tmp/sprite-<uid>, unless the test moves it
export XDG_DATA_HOME=$HOME/.local/share XDG_CONFIG_HOME=$HOME/.config XDG_STATE_HOME=$HOME/.local/state
unset SPRITE_URL SPRITES_API_URL SPRITE_TOKEN

# A runtime folder for this test alone, with a short name since socket paths are limited.
XDG_RUNTIME_DIR=$(mktemp -d /tmp/sprt.XXXXXX)
export XDG_RUNTIME_DIR
mkdir -p "$XDG_DATA_HOME/sprite" "$XDG_CONFIG_HOME/sprite"
take_template() { cp -a --sparse=always "$SPRITE_TEST_WORK/templates" "$XDG_DATA_HOME/sprite/"; }
[ -e "$XDG_DATA_HOME/sprite/images" ] || ln -s "$SPRITE_TEST_WORK/images" "$XDG_DATA_HOME/sprite/images"
memory_dir=/dev/shm/${XDG_RUNTIME_DIR##*/}
mkdir -m 700 "$memory_dir"
# Machines go on from a template, as they do after `sprite image build`, and none waits in advance. TEMPLATES=none: machines
# boot. TEMPLATES=own: the test takes or makes its template, and machines wait, as they do for users.
: "${TEMPLATES:=shared}"
case $TEMPLATES in
  shared) templates='4GiB\npool: 0' ;;
  none) templates=0B ;;
  own) templates=4GiB ;;
esac
[ "$TEMPLATES" != shared ] || take_template
# Nothing falls asleep behind a test's back either: those about that set SPRITE_SLEEP_AFTER.
printf 'memory_dir: %s\ntemplates: %b\nsprite:\n  memory: 512MiB\nsleep:\n  after: never\n' "$memory_dir" "$templates" >"$XDG_CONFIG_HOME/sprite/config.yaml"

clean_up() { # whatever happened: no VM, daemon or file of this test stays
  local status=$?
  set +e
  [ "$status" = 0 ] || [ "$status" = 77 ] || { echo "--- daemon's log:"; tail -n 30 "$XDG_STATE_HOME/sprite/daemon.log" 2>/dev/null; }
  sprite list 2>/dev/null </dev/null | while read -r name; do timeout 30 sprite destroy --force -s "$name" </dev/null >/dev/null 2>&1; done
  timeout 20 sprite daemon stop >/dev/null 2>&1
  pkill -9 -u "$(id -u)" -f "$XDG_RUNTIME_DIR" 2>/dev/null   # only processes whose command line names this test's folder
  rm -rf "$XDG_RUNTIME_DIR" "$memory_dir"
  exit "$status"
}
trap clean_up EXIT

fail() { echo "FAILED: $*"; exit 1; }
expect() { # expect WHAT WANTED GOT
  [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}
expect_status() { # expect_status WANTED COMMAND…: its output goes to $output
  local wanted=$1 status=0
  shift
  output=$("$@" 2>&1) || status=$?
  [ "$status" = "$wanted" ] || fail "\`$*\` ended with $status, not $wanted: $output"
}
expect_contains() { # expect_contains WHAT TEXT PART
  case $2 in *"$3"*) ;; *) fail "$1: '$3' is not in: $2" ;; esac
}
daemon_pid() { jq -r .pid "$XDG_RUNTIME_DIR/sprite/daemon.json"; }
wait_until() { # wait_until SECONDS COMMAND…: polls until the command succeeds
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "not within the time: $*"
    sleep 0.1
  done
}
figure() { echo "figure: $*"; }
