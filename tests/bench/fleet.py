"""Many sprites: wakes at once, and what those take that sleep."""
import contextlib
import glob
import json
import os
import subprocess
import threading
import time

from report import figure, give_up, note
from sprites import World, wait_for, wait_for_template

MiB = 1 << 20


def at_once(work, count):
    """Calls work(0), work(1), … each on a thread; how long each took, in milliseconds."""
    times, threads = [None] * count, []

    def timed(i):
        begun = time.perf_counter()
        work(i)
        times[i] = (time.perf_counter() - begun) * 1000

    for i in range(count):
        threads.append(threading.Thread(target=timed, args=(i,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    if None in times:
        give_up("a command failed", "look at the daemon's log")
    return times


def details(world):
    return [sprite["detail"] for sprite in json.loads(world.run("list", "--json"))]


def all_asleep(world):
    return all(detail.startswith("asleep") for detail in details(world))


def touched_bytes(pattern):
    return sum(os.stat(path).st_blocks * 512 for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))


def proportional_bytes(world):
    """Of the host's memory that the daemon and every QEMU take; what they share is counted once."""
    total = 0
    found = subprocess.run(["pgrep", "-f", world.runtime], stdout=subprocess.PIPE).stdout.split()
    for pid in found:
        with contextlib.suppress(OSError), open(f"/proc/{int(pid)}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
    return total


def measure(report, top, build, work, runtime, options):
    with contextlib.closing(World(top, build, work, runtime)) as world:
        world.configure("4GiB", 1)
        create = lambda name: world.run("create", "--skip-console", "--memory", "256MiB", name)
        create("first")
        wait_for_template(world)
        world.run("sleep", "--deep", "first")
        names = [f"dozer-{i}" for i in range(options.fleet)]
        for i, name in enumerate(names):
            create(name)
            world.run("exec", "-s", name, "--", "sh", "-c", f"sleep 1000{i} >/dev/null 2>&1 </dev/null &")
            world.run("sleep", "--deep", name)
            wait_for("all sleep", lambda: all_asleep(world))
        note(f"{len(names) + 1} sprites sleep")
        count = min(options.wakes, len(names))
        folder = f"{world.home}/.local/share/sprite/sprites"
        asleep_bytes = touched_bytes(f"{folder}/*/memory/*")
        host = proportional_bytes(world)
        wakes = at_once(lambda i: world.run("exec", "-s", names[i], "--", "pgrep", "-f", f"sleep 1000{i}"), count)
        report.section(f"{len(names) + 1} sprites asleep with their memory on the disk", None)
        report.add(figure(f"{count} wakes at once, each to its exec's answer", "ms", wakes))
        report.add(figure("the last of them", "ms", [max(wakes)]))
        report.add(figure("saved memory of one, on the disk", "MiB", [asleep_bytes / (len(names) + 1) / MiB]))
        report.add(figure("the host's memory for all of them", "MiB", [host / MiB]))
        report.add(figure(f"the same with {count} awake", "MiB", [proportional_bytes(world) / MiB]))
