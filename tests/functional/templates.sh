# Sourced by the tests of templates, in place of lib.sh.
TEMPLATES=own
. "$SPRITE_TEST_WORK/tests/lib.sh"

log() { cat "$XDG_STATE_HOME/sprite/daemon.log"; }
templates() { ls -A "$XDG_DATA_HOME/sprite/templates" 2>/dev/null; }
has_template() { ls "$XDG_DATA_HOME"/sprite/templates/[0-9a-f]*/memory/stamp; }
how() { log | sed -n "s/.* sprite '$1' \(went on\|booted\).*/\1/p" | tail -n 1; }   # how it started last
why() { log | grep "sprite '$1' \(boots\|takes another machine\):\|is removed:" | tail -n 1; }
hidden() { ls "$XDG_RUNTIME_DIR"/sprite/vm/*/hidden 2>/dev/null | wc -l; }
blank() { dirname "$(ls "$XDG_RUNTIME_DIR"/sprite/vm/*/hidden | head -n 1)"; }   # the folder of a VM that waits
has_blank() { [ "$(hidden)" = 1 ] && has_blank_for start; }
has_blank_for() {
  for mark in "$XDG_RUNTIME_DIR"/sprite/vm/*/hidden; do
    ! log | grep -q "machine $(basename "$(dirname "$mark")") waits for the next $1" || return 0
  done
  return 1
}
qemus() { pgrep -u "$(id -u)" -f "qemu-system.*$XDG_RUNTIME_DIR" | wc -l; }

# Nothing is left of machines but those of sprites that run: no process, memory, folder, or half a template.
expect_nothing_left() { # expect_nothing_left WHEN SPRITES_THAT_RUN
  expect "processes $1" "$2" "$(qemus)"
  expect "memory files $1" "$2" "$(ls "$memory_dir" | wc -l)"
  expect "unfinished templates $1" "" "$(templates | grep '^\.' || true)"
  expect "unfinished sprites $1" "" "$(ls -A "$XDG_DATA_HOME/sprite/sprites" | grep '^\.' || true)"
}
begin_with_template() { # and the sprite 'first'
  take_template
  sprite create --skip-console first >/dev/null
  expect "the first sprite" "went on" "$(how first)"
}
