# Sourced by tests of the disk: a load inside a sprite that notices every lost or wrong byte, and a check of the file system from outside.

# start_disk_load SPRITE: a SQLite writer that commits numbered records with full syncs, and fio (else a loop of our own)
# that writes blocks past the page cache and reads them back.
start_disk_load() {
  sprite exec -s "$1" -- sh -c 'mkdir -p load && cat >load/records.py' <<'PY'
import os, sqlite3, time
db = sqlite3.connect("records.db")
db.execute("pragma journal_mode=wal"); db.execute("pragma synchronous=full")
db.execute("create table t (n integer primary key, text)")
n = 0
while not os.path.exists("stop"):
    n += 1
    try:
        with db: db.execute("insert into t values (?, hex(randomblob(500)))", (n,))
        if n == 1: open("begun", "w")
    except Exception as wrong:
        open("wrong", "a").write(f"record {n}: {wrong}\n")
    time.sleep(0.01)
open("records", "w").write(str(n))
PY
  sprite exec -s "$1" -- sh -c 'cat >load/blocks.py' <<'PY'
import hashlib, mmap, os, random
file = os.open("blocks", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
page = mmap.mmap(-1, 65536)
held, passes = {}, 0
while not os.path.exists("stop"):
    try:
        for _ in range(100):
            at = random.randrange(256)
            page[:] = os.urandom(4096) * 16
            os.pwritev(file, [page], at * 65536)
            held[at] = hashlib.sha256(page).digest()
        for at, digest in held.items():
            os.preadv(file, [page], at * 65536)
            if hashlib.sha256(page).digest() != digest: open("wrong", "a").write(f"block {at} is not what was written\n")
        passes += 1
    except OSError as wrong:
        open("wrong", "a").write(f"blocks: {wrong}\n")
open("passes", "w").write(str(passes))
PY
  sprite exec -s "$1" -- sh -c 'cat >load/fio.sh' <<'SH'
passes=0
while [ ! -e stop ]; do
  LD_LIBRARY_PATH=fio fio/fio --name=verify --rw=randwrite --bsrange=4k-64k --blockalign=4k --size=8m --direct=1 --ioengine=psync \
    --verify=crc32c --do_verify=1 --verify_fatal=1 --allow_file_create=1 >fio.out 2>&1 || cat fio.out >>wrong
  passes=$((passes + 1))
done
echo $passes >passes
SH
  local blocks="python3 blocks.py"
  if command -v fio >/dev/null; then
    mkdir fio
    cp "$(command -v fio)" fio/
    ldd fio/fio | awk '/=> \// {print $3}' | grep -v -e /libc.so -e /libm.so -e /libpthread | xargs cp -L -t fio
    tar -cz fio | sprite exec -s "$1" --dir /home/sprite/load -- tar -xz
    rm -r fio
    if sprite exec -s "$1" --dir /home/sprite/load -- sh -c 'LD_LIBRARY_PATH=fio fio/fio --version' >/dev/null 2>&1; then blocks="sh fio.sh"; fi
  fi
  echo "blocks are verified by: $blocks"
  sprite exec -s "$1" --dir /home/sprite/load -- sh -c "
    setsid nohup python3 records.py >records.out 2>&1 </dev/null & setsid nohup $blocks >blocks.out 2>&1 </dev/null &"
  wait_until 30 sprite exec -s "$1" --dir /home/sprite/load -- test -e begun
}

# stop_disk_load SPRITE: ends it and fails if a byte was lost or wrong.
stop_disk_load() {
  local inside=(sprite exec -s "$1" --dir /home/sprite/load --)
  "${inside[@]}" sh -c 'touch stop; for _ in $(seq 600); do [ -e records ] && [ -e passes ] && exit; sleep 0.1; done; exit 1' ||
    fail "the load does not end: $("${inside[@]}" sh -c 'tail -n 5 *.out')"
  expect "what the load found wrong" nothing "$("${inside[@]}" sh -c 'if [ -e wrong ]; then tail -n 5 wrong; else echo nothing; fi')"
  expect "the database is whole" ok "$("${inside[@]}" python3 -c 'import sqlite3; print(sqlite3.connect("records.db").execute("pragma integrity_check").fetchone()[0])')"
  local records passes
  records=$("${inside[@]}" cat records) passes=$("${inside[@]}" cat passes)
  expect "no record is missing" "$records" "$("${inside[@]}" python3 -c 'import sqlite3; print(sqlite3.connect("records.db").execute("select count(*) from t").fetchone()[0])')"
  [ "$records" -gt 0 ] && [ "$passes" -gt 0 ] || fail "the load did nothing: $records records, $passes passes"
  figure "meanwhile in the guest: $records records committed, $passes times all blocks verified"
}

# check_file_system SPRITE: of a stopped one; e2fsck must find nothing to mend.
check_file_system() {
  for program in nbdcopy e2fsck tool_nbd_serve; do
    command -v $program >/dev/null || { echo "cannot check the file system: there is no $program"; return; }
  done
  local id server
  id=$(sprite list --json | jq -r ".[] | select(.name == \"$1\").id")
  rm -f serving
  PACKS=$XDG_DATA_HOME/sprite/packs tool_nbd_serve "$XDG_RUNTIME_DIR/check.sock" "$XDG_DATA_HOME/sprite/sprites/$id" "$XDG_RUNTIME_DIR/check" none 0 >serving &
  server=$!
  wait_until 20 grep -q ready serving
  nbdcopy "nbd+unix:///disk?socket=$XDG_RUNTIME_DIR/check.sock" disk.copy
  kill "$server"
  wait "$server"
  e2fsck -fn disk.copy >e2fsck.out 2>&1 || fail "e2fsck of '$1': $(cat e2fsck.out)"
  figure "e2fsck -fn: $(tail -n 1 e2fsck.out)"
  rm disk.copy
}
