# Sourced by tests named root-* after lib.sh: a network of the test's own. Two network namespaces: "here", where the daemon
# runs as an ordinary user, and "there", 198.18.0.2, where the test's servers are.
here=sprt-here-$$ there=sprt-there-$$
undo() {
  set +e
  if ip netns exec "$here" true 2>/dev/null; then
    as_tester sprite list 2>/dev/null </dev/null | while read -r name; do as_tester sprite destroy --force -s "$name" </dev/null >/dev/null 2>&1; done
    as_tester sprite daemon stop >/dev/null 2>&1
  fi
  for pid in $(ip netns pids "$there" 2>/dev/null) $(ip netns pids "$here" 2>/dev/null); do kill "$pid"; done
  ip netns del "$here" 2>/dev/null
  ip netns del "$there" 2>/dev/null
  rm -rf "/etc/netns/$here"
}
undo_and_clean_up() {
  local status=$?
  undo
  (exit "$status")
  clean_up
}
trap undo_and_clean_up EXIT
ip netns add "$here" && ip netns add "$there" || { echo "no network namespaces here"; exit 77; }
ip -n "$here" link add world type veth peer name world netns "$there"
ip -n "$here" addr add 198.18.0.1/24 dev world
ip -n "$there" addr add 198.18.0.2/24 dev world
for space in "$here" "$there"; do ip -n "$space" link set lo up && ip -n "$space" link set world up; done
ip -n "$here" route add default via 198.18.0.2
mkdir -p "/etc/netns/$here"
echo "nameserver 198.18.0.2" >"/etc/netns/$here/resolv.conf"

# Everything that is not the world's is an ordinary user's, in namespace "here".
own_for_tester() { chown -R sprite-test: "$HOME" "$XDG_RUNTIME_DIR" "$memory_dir"; }
as_tester() { ip netns exec "$here" setpriv --reuid=sprite-test --regid=sprite-test --init-groups -- "$@"; }
there() { ip netns exec "$there" "$@"; }
