"""A volume behind our NBD server beside `qemu-nbd -f raw` on a plain file of the same file system, in turns."""
import contextlib
import json
import os
import signal
import subprocess
import threading
import time

from report import at_most, figure, give_up, note, ratio_at_least

MiB = 1 << 20
PATTERNS = (("randread", "4k"), ("randwrite", "4k"), ("read", "1m"), ("write", "1m"))
NAMES = {"randread": "random read", "randwrite": "random write", "read": "sequential read", "write": "sequential write"}
CELLS = [(pattern, block, depth) for pattern, block in PATTERNS for depth in (1, 32)]
BAR = ratio_at_least(0.9)
LAYERS_MAX = 8


def fio(socket, pattern, block, depth, size_mib, seconds, *more):
    """Bytes per second."""
    ran = subprocess.run(
        ["fio", "--name=cell", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket}", f"--rw={pattern}", f"--bs={block}",
         f"--iodepth={depth}", f"--size={size_mib}m", "--randrepeat=0", "--norandommap", "--output-format=json"] +
        ([f"--runtime={seconds * 1000:.0f}ms", "--time_based"] if seconds else []) + list(more),
        stdout=subprocess.PIPE, check=True, cwd="/")
    return bandwidth(ran, pattern)


def fio_on_file(path, size_mib):
    ran = subprocess.run(["fio", "--name=file", "--ioengine=psync", f"--filename={path}", "--rw=write", "--bs=1m",
                          f"--size={size_mib}m", "--end_fsync=1", "--output-format=json"], stdout=subprocess.PIPE, check=True, cwd="/")
    os.unlink(path)
    return bandwidth(ran, "write")


def wait_for(what, done, seconds=300):
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            give_up(f"not within {seconds} s: {what}", "look at the messages above")
        time.sleep(0.1)


def bandwidth(ran, pattern):
    job = json.loads(ran.stdout[ran.stdout.index(b"{"):])["jobs"][0]
    return job["read" if "read" in pattern else "write"]["bw_bytes"]


class Disks:
    """Both servers, each with a disk of its own."""

    def __init__(self, build, work, runtime, size_mib, upkeep=False, full=True):
        os.makedirs(work)
        os.makedirs(f"{runtime}/twins")
        self.work, self.size_mib, self.old, self.baselines = work, size_mib, [], 0
        self.ours, self.theirs, self.raw = f"{runtime}/ours.sock", f"{runtime}/theirs.sock", f"{work}/raw"
        for name in ("image", "raw"):
            with open(f"{work}/{name}", "wb") as file:
                file.truncate(size_mib * MiB)
        serve = f"{build}/tests/tool_nbd_serve"
        if not os.access(serve, os.X_OK):
            give_up(f"there is no {serve}", "make")
        self.server = subprocess.Popen([serve, self.ours, f"{work}/volume", f"{runtime}/twins", f"{work}/image",
                                        str(size_mib * MiB)] + ["upkeep"] * upkeep, stdout=subprocess.PIPE)
        self.server.stdout.readline()
        self.start_baseline()
        if full:
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

    def start_baseline(self):
        self.baseline = subprocess.Popen(["qemu-nbd", "-f", "raw", "-t", "-e", "16", "-k", self.theirs, "--cache=writeback",
                                          "--discard=unmap", self.raw])
        for _ in range(200):
            if os.path.exists(self.theirs):
                break
            time.sleep(0.05)

    def new_baseline(self):
        """The baseline goes on in a new file, as we do in a new layer, while the old one stays."""
        self.baseline.terminate()
        self.baseline.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.theirs)
        self.old.append(self.raw)
        self.baselines += 1
        self.raw = f"{self.work}/raw-{self.baselines}"
        with open(self.raw, "wb") as file:
            file.truncate(self.size_mib * MiB)
        self.start_baseline()

    def write_back_baseline(self):
        """What the baseline left unwritten, the kernel would write half a minute later: while we are measured. We have no
        such debts, since a cut flushes."""
        with open(self.raw, "rb") as file:
            os.fsync(file.fileno())

    def forget_old(self):
        for path in self.old:
            os.unlink(path)
        self.old = []

    @contextlib.contextmanager
    def alone(self):
        """Nothing of ours runs meanwhile, so that a baseline is not slowed down by what works behind our disk."""
        self.server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.send_signal(signal.SIGCONT)

    def layers_and_unsealed_bytes(self):
        self.server.send_signal(signal.SIGUSR2)
        words = self.server.stdout.readline().split()
        return int(words[1]), int(words[3])

    def layers(self):
        return self.layers_and_unsealed_bytes()[0]

    def wait_for_upkeep(self):
        """Until the chain is short, and all of it but an empty top layer sealed."""
        def done():
            layers, unsealed = self.layers_and_unsealed_bytes()
            return layers <= LAYERS_MAX and unsealed < MiB

        self.cut()
        wait_for("upkeep is done", done)

    def sealed_bytes(self):
        return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(f"{self.work}/volume/packs")
                   for name in names if not name.endswith(".tmp"))

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


def measure_sealing(report, build, work, runtime, options):
    """Each of our runs begins right after a cut of a full disk of new bytes, while upkeep seals and folds. Both sides
    write where nothing was written before: on virtual machines memory that was not used lately can cost more than a write."""
    with contextlib.closing(Disks(build, f"{work}/sealing", f"{runtime}/sealing", options.size_mib, upkeep=True)) as disks:
        report.section("NBD, right after a checkpoint and while it is sealed", "qemu-nbd, a full file to read, a new one to write; our server stopped meanwhile")
        for pattern, block, depth in CELLS:
            scale, unit = (4096, "IOPS") if block == "4k" else (MiB, "MiB/s")
            ours, theirs, sealed = [], [], []
            for _ in range(options.rounds):
                fio(disks.ours, "write", "1m", 8, options.size_mib, None)
                disks.cut()
                before = disks.sealed_bytes()
                ours.append(fio(disks.ours, pattern, block, depth, options.size_mib, options.seconds) / scale)
                sealed.append(disks.sealed_bytes() - before)
                with disks.alone():
                    if "write" in pattern:
                        disks.new_baseline()
                    theirs.append(fio(disks.theirs, pattern, block, depth, options.size_mib, options.seconds) / scale)
                    disks.write_back_baseline()
            report.add(figure(f"{block} {NAMES[pattern]}, queue {depth}", unit, ours, theirs, BAR, rate=True))
            if "write" in pattern:
                fio(disks.theirs, "write", "1m", 8, options.size_mib, None)
                disks.write_back_baseline()
                disks.forget_old()
            if not any(sealed):
                note(f"nothing was sealed during these runs of {options.seconds:g} s")


def measure_sequential(report, build, work, runtime, options):
    """Writing more than there is cache for, durable at the end, beside the same on the file system itself."""
    size_mib = options.sequential_gib * 1024
    with contextlib.closing(Disks(build, f"{work}/long", f"{runtime}/long", size_mib, upkeep=True, full=False)) as disks:
        report.section("Sequential write, flushed at its end, sealing on", "fio on a file of the same file system, our server stopped")
        ours, theirs = [], []
        for _ in range(options.sequential_rounds):
            ours.append(fio(disks.ours, "write", "1m", 8, size_mib, None, "--end_fsync=1") / MiB)
            with disks.alone():
                theirs.append(fio_on_file(f"{work}/long/plain", size_mib) / MiB)
        report.add(figure(f"{options.sequential_gib} GiB", "MiB/s", ours, theirs, ratio_at_least(0.8), rate=True))
        if not disks.sealed_bytes():
            note("nothing was sealed during these runs")


def measure_many_cuts(report, build, work, runtime, options, cuts=500):
    """500 cuts under load: upkeep makes a short chain of them, which reads like one layer."""
    with contextlib.ExitStack() as stack:
        many, one = (stack.enter_context(contextlib.closing(Disks(build, f"{work}/{name}", f"{runtime}/{name}", 128, upkeep=keep)))
                     for name, keep in (("many", True), ("one", False)))
        report.section(f"{cuts} cuts under random writes, folded by upkeep", "the same disk in one layer")
        load = subprocess.Popen(["fio", "--name=load", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={many.ours}", "--rw=randwrite",
                                 "--bs=4k", "--size=128m", "--time_based", "--runtime=1h", "--rate_iops=2000"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        for _ in range(cuts):
            many.cut()
        load.terminate()
        load.wait()
        begun = time.monotonic()
        many.wait_for_upkeep()
        report.add(figure("time until upkeep is done", "s", [time.monotonic() - begun]))
        report.add(figure("layers left", "", [many.layers()], bar=at_most(LAYERS_MAX)))
        for depth in (1, 32):
            ours, theirs = [], []
            for turn in range(options.rounds):
                for disks in (many, one) if turn % 2 == 0 else (one, many):
                    (ours if disks is many else theirs).append(fio(disks.ours, "randread", "4k", depth, 128, options.seconds) / 4096)
            report.add(figure(f"4k random read, queue {depth}", "IOPS", ours, theirs, BAR, rate=True))


def cut_every(disks, seconds, ended):
    while not ended.wait(seconds):
        disks.cut()
