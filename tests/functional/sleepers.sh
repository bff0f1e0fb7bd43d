# Sourced by the tests about sleep and memory: what has to survive in sprite 'box', and how wrong the guest's clock is.

# A program that knows a number which is nowhere but in its memory, holds an open file whose name is gone, and says so
# when it is asked. Beside it a shell on a terminal, detached, which knows another number.
begin_keeping() {
  sprite exec -s box -- sh -c 'cat > /tmp/keeper <<"END"
#!/bin/bash
secret=$1; exec 5<> /tmp/gone; rm /tmp/gone; echo "in an open file" >&5
while :; do
  [ -e /tmp/ask ] && { rm /tmp/ask; echo "$secret $$ $(cat /proc/$$/fd/5)" > /tmp/said; mv /tmp/said /tmp/answer; }
  sleep 0.05
done
END
chmod 755 /tmp/keeper; setsid /tmp/keeper "$1" < /dev/null > /dev/null 2>&1 &' keep "4711-$RANDOM"
  mkfifo "$HOME/keys"
  exec 8<>"$HOME/keys"
  sprite exec -s box --tty --detachable -- bash --norc <&8 >"$HOME/screen" &
  wait_until 20 terminal_is_there
  type_in '' "number=$RANDOM-1174; sleep 100000 & :"
  leave_terminal
}
sessions_with_terminal() { sprite sessions list -s box --json | jq -r '.[] | select(.tty) | .id'; }
terminal_is_there() { terminal=$(sessions_with_terminal); [ -n "$terminal" ]; }
join_terminal() {
  rm -f "$HOME/screen"
  sprite attach -s box "$terminal" <&8 >"$HOME/screen" &
}
leave_terminal() {
  kill %%
  wait %% || true
}
type_in() { # type_in WHAT COMMAND: what the shell prints for WHAT after COMMAND goes to $printed
  local time=$EPOCHREALTIME   # no answer of before passes for one
  printf '%s; echo "<%s>" at %s\n' "$2" "$1" "$time" >&8
  wait_until 20 grep -q "^<.*> at $time" "$HOME/screen"   # what is echoed has its words in other places
  printed=$(sed -n "s/^<\(.*\)> at $time.*/\1/p" "$HOME/screen")
}

ask_program() { # ask_program [NAME]: also one that was made of box
  sprite exec -s "${1:-box}" -- sh -c 'rm -f /tmp/answer; touch /tmp/ask
    for i in $(seq 100); do [ -e /tmp/answer ] && exec cat /tmp/answer; sleep 0.05; done; exit 9'
}
ask_terminal() {
  join_terminal
  type_in '$number $$ $(tty) $(jobs -p)' :
  leave_terminal
  echo "$printed"
}
boot_id() { sprite exec -s box -- cat /proc/sys/kernel/random/boot_id; }
kept() { # in one line; fails at once where there is no such program any more
  local program
  program=$(ask_program) || return
  echo "program: $program; terminal: $(ask_terminal); boot: $(boot_id)"
}

# The guest's clock less the host's, in microseconds. A program there answers with the time, again and again: the answer that took
# the shortest is wrong by half of that at most.
clock_error() {
  local begin guest end best=1000000000 error=0
  coproc CLOCK { sprite exec -s box -- bash -c 'while read -r; do echo "$EPOCHREALTIME"; done'; }
  for _ in 1 2 3 4 5 6 7 8 9; do
    begin=$EPOCHREALTIME
    echo >&"${CLOCK[1]}"
    read -r guest <&"${CLOCK[0]}"
    end=$EPOCHREALTIME
    begin=${begin/./} guest=${guest/./} end=${end/./}
    [ $((end - begin)) -lt "$best" ] || continue
    best=$((end - begin)) error=$((guest - (begin + end) / 2))
  done
  exec {CLOCK[1]}>&-
  wait "$CLOCK_PID" || true
  echo "$error"
}
check_clock() { # check_clock WHEN
  local error
  error=$(clock_error)
  [ "${error#-}" -le 50000 ] || fail "after $1 the clock is $error us wrong"
  [ "${error#-}" -le "${worst:-0}" ] || worst=${error#-}
}
