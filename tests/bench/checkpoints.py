"""Checkpoint, restore and fork at several amounts of data and of kept checkpoints, beside what qcow2 and cp take."""
import os
import shutil
import subprocess
import time

import virsh
from report import at_most, figure, give_up

GIGABYTES, KEPT = (1, 10, 50), (1, 100, 1000)
WHATS = {"checkpoint": (10, 1.5), "fork": (10, 3), "restore": (None, None)}  # p50 of the smallest, largest ÷ smallest


def milliseconds(*command):
    begun = time.perf_counter()
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if ran.returncode != 0:
        give_up(f"`{' '.join(command)}` failed: {ran.stderr.decode()}", "look at the message above")
    return (time.perf_counter() - begun) * 1000


def make_volumes(program, work, runtime):
    """A directory for each case. They are made where a sync costs nothing, and measured on a disk."""
    cases = {}
    for gigabytes in GIGABYTES:
        for kept in KEPT:
            name = f"{gigabytes}-{kept}"
            subprocess.run([program, "make", f"{runtime}/{name}", str(gigabytes), str(kept)], check=True)
            subprocess.run(["cp", "-a", "--sparse=always", f"{runtime}/{name}", f"{work}/{name}"], check=True)
            shutil.rmtree(f"{runtime}/{name}")
            cases[gigabytes, kept] = f"{work}/{name}"
    os.sync()
    return cases


def measure_volumes(report, program, work, runtime, rounds):
    cases = make_volumes(program, work, runtime)
    ran = subprocess.run([program, "measure", str(rounds), *cases.values()], stdout=subprocess.PIPE, check=True)
    times = {}
    for line in ran.stdout.decode().splitlines():
        directory, what, *values = line.split()
        times[directory, what] = [float(value) for value in values]
    smallest, largest = cases[GIGABYTES[0], KEPT[0]], cases[GIGABYTES[-1], KEPT[-1]]
    for what, (limit, factor) in WHATS.items():
        for (gigabytes, kept), directory in cases.items():
            bar = at_most(limit) if limit and directory == smallest else None
            report.add(figure(f"{what}, {gigabytes} GB, {kept} kept", "ms", times[directory, what], bar=bar))
        growth = [large / small for large, small in zip(times[largest, what], times[smallest, what])]
        report.add(figure(f"{what}, largest ÷ smallest", "×", growth, bar=at_most(factor) if factor else None))


def measure_baselines(report, work):
    """Full tables without the bytes themselves for qcow2, as above; real bytes for cp."""
    for gigabytes in GIGABYTES:
        image = f"{work}/{gigabytes}.qcow2"
        milliseconds("qemu-img", "create", "-f", "qcow2", "-o", "preallocation=metadata", image, f"{gigabytes}G")
        made, reverted = [], []
        for i in range(3):
            made.append(milliseconds("qemu-img", "snapshot", "-c", f"s{i}", image))
            reverted.append(milliseconds("qemu-img", "snapshot", "-a", f"s{i}", image))
        report.add(figure(f"qemu-img snapshot, {gigabytes} GB", "ms", made))
        report.add(figure(f"qemu-img revert, {gigabytes} GB", "ms", reverted))
        os.unlink(image)
    with open(f"{work}/data", "wb") as file:
        for _ in range(1024):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    copied = [milliseconds("cp", "--reflink=never", f"{work}/data", f"{work}/copy") for _ in range(3)]
    report.add(figure("cp --reflink=never, 1 GB", "ms", copied))


def measure_machine(report, top, build, work, runtime):
    """Snapshots of a machine that runs."""
    disk = f"{work}/machine.qcow2"
    milliseconds("qemu-img", "create", "-f", "qcow2", "-b", f"{top}/build/images/base/rootfs.img", "-F", "raw", disk)
    with virsh.machine(top, build, work, runtime, disk) as machine:
        if not machine:
            return
        made, reverted = [], []
        for i in range(3):
            made.append(machine.run(f"snapshot-create-as {virsh.NAME} s{i}"))
            reverted.append(machine.run(f"snapshot-revert {virsh.NAME} s{i}"))
        report.add(figure("virsh snapshot-create-as, it runs", "ms", made))
        report.add(figure("virsh snapshot-revert, it runs", "ms", reverted))


def measure(report, top, build, work, runtime, options):
    program = f"{build}/tests/checkpoint_bench"
    if not os.access(program, os.X_OK):
        give_up(f"there is no {program}", "make")
    for folder in (f"{work}/checkpoints", f"{runtime}/checkpoints"):
        os.makedirs(folder)
    report.section("Checkpoint, fork, restore: the host's part", "")
    measure_volumes(report, program, f"{work}/checkpoints", f"{runtime}/checkpoints", options.checkpoint_rounds)
    report.section("The same by other means", "")
    measure_baselines(report, f"{work}/checkpoints")
    measure_machine(report, top, build, f"{work}/checkpoints", runtime)


def measure_amplification(report, build, work):
    """Bytes written for bytes that a guest writes."""
    ran = subprocess.run([f"{build}/tests/amplification_bench", work], stdout=subprocess.PIPE, check=True)
    report.section("Bytes written for a guest's aligned 4 KiB random writes, with cuts", "")
    for line in ran.stdout.decode().splitlines():
        what, value, limit = line.split("\t")
        report.add(figure(what, "×", [float(value)], bar=at_most(float(limit)) if limit else None))
