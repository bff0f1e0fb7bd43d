"""A volume behind our NBD server beside `qemu-nbd -f raw` on a plain file of the same file system, in turns."""
import contextlib
import json
import os
import signal
import subprocess
import threading
import time

from report import figure, give_up, ratio_at_least

MiB = 1 << 20
PATTERNS = (("randread", "4k"), ("randwrite", "4k"), ("read", "1m"), ("write", "1m"))
NAMES = {"randread": "random read", "randwrite": "random write", "read": "sequential read", "write": "sequential write"}
CELLS = [(pattern, block, depth) for pattern, block in PATTERNS for depth in (1, 32)]
BAR = ratio_at_least(0.9)


def fio(socket, pattern, block, depth, size_mib, seconds):
    """Bytes per second."""
    ran = subprocess.run(
        ["fio", "--name=cell", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket}", f"--rw={pattern}", f"--bs={block}",
         f"--iodepth={depth}", f"--size={size_mib}m", "--randrepeat=0", "--norandommap", "--output-format=json"] +
        ([f"--runtime={seconds * 1000:.0f}ms", "--time_based"] if seconds else []), stdout=subprocess.PIPE, check=True, cwd="/")
    job = json.loads(ran.stdout[ran.stdout.index(b"{"):])["jobs"][0]
    return job["read" if "read" in pattern else "write"]["bw_bytes"]


class Disks:
    """Both servers, each with a disk of its own."""

    def __init__(self, build, work, runtime, size_mib, upkeep=False):
        os.makedirs(work)
        os.makedirs(f"{runtime}/twins")
        self.size_mib = size_mib
        self.ours, self.theirs, self.raw = f"{runtime}/ours.sock", f"{runtime}/theirs.sock", f"{work}/raw"
        for name in ("image", "raw"):
            with open(f"{work}/{name}", "wb") as file:
                file.truncate(size_mib * MiB)
        serve = f"{build}/tests/tool_nbd_serve"
        if not os.access(serve, os.X_OK):
            give_up(f"there is no {serve}", "make")
        self.server = subprocess.Popen([serve, self.ours, f"{work}/volume", f"{runtime}/twins", f"{work}/image",
                                        str(size_mib * MiB)] + ["upkeep"] * upkeep, stdout=subprocess.PIPE)
        self.baseline = subprocess.Popen(["qemu-nbd", "-f", "raw", "-t", "-e", "16", "-k", self.theirs, "--cache=writeback",
                                          "--discard=unmap", self.raw])
        self.server.stdout.readline()
        for _ in range(200):
            if os.path.exists(self.theirs):
                break
            time.sleep(0.05)
        self.fill()

    def fill(self):
        """Every block exists and is in the page cache, as in a guest that reads what it wrote."""
        for socket in (self.ours, self.theirs):
            fio(socket, "write", "1m", 8, self.size_mib, None)

    def cut(self):
        """Ends our top layer: reads go on below it, and each first write of a block is a new one."""
        self.server.send_signal(signal.SIGUSR1)
        if self.server.stdout.readline() != b"cut\n":
            give_up("the volume could not be cut", "look at the messages above")

    def cut_and_empty(self):
        """The baseline gets what a new top layer is: a sparse file without blocks."""
        self.cut()
        os.truncate(self.raw, 0)
        os.truncate(self.raw, self.size_mib * MiB)

    def close(self):
        for server in (self.server, self.baseline):
            server.terminate()
            server.wait()


def pairs(disks, rounds, measure_one, before):
    """Figures of our socket and of theirs, A B B A A B ..."""
    ours, theirs = [], []
    for turn in range(rounds):
        before()
        for socket in (disks.ours, disks.theirs) if turn % 2 == 0 else (disks.theirs, disks.ours):
            (ours if socket == disks.ours else theirs).append(measure_one(socket))
    return ours, theirs


def measure_cells(report, disks, options, cells, before=lambda: None, bar=BAR):
    for pattern, block, depth in cells:
        scale, unit = (4096, "IOPS") if block == "4k" else (MiB, "MiB/s")
        ours, theirs = pairs(disks, options.rounds, lambda socket: fio(socket, pattern, block, depth, options.size_mib,
                                                                       options.seconds) / scale, before)
        report.add(figure(f"{block} {NAMES[pattern]}, queue {depth}", unit, ours, theirs, bar, rate=True))


def measure(report, build, work, runtime, options):
    reads = [cell for cell in CELLS if "read" in cell[0]]
    writes = [cell for cell in CELLS if "write" in cell[0]]
    with contextlib.closing(Disks(build, f"{work}/nbd", f"{runtime}/nbd", options.size_mib)) as disks:
        report.section("NBD, every block in the top layer", "qemu-nbd -f raw, same file system, full file; by turns")
        measure_cells(report, disks, options, CELLS)
        disks.fill()
        disks.cut()
        report.section("NBD, every block below a new top layer", "qemu-nbd, full file")
        measure_cells(report, disks, options, reads)
        report.section("NBD, first writes after a cut", "qemu-nbd, empty sparse file")
        measure_cells(report, disks, options, writes, disks.cut_and_empty)
    if options.cuts:
        with contextlib.closing(Disks(build, f"{work}/kept", f"{runtime}/kept", options.size_mib, upkeep=True)) as disks:
            report.section(f"NBD, a cut every {options.cuts:g} s, sealed and folded meanwhile", "qemu-nbd, full file")
            ended = threading.Event()
            cutter = threading.Thread(target=cut_every, args=(disks, options.cuts, ended))
            cutter.start()
            try:
                measure_cells(report, disks, options, CELLS, bar=None)  # sealing takes a processor of its own
            finally:
                ended.set()
                cutter.join()


def cut_every(disks, seconds, ended):
    while not ended.wait(seconds):
        disks.cut()
