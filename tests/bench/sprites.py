"""Sprites as a user meets them: create, exec, stop, start, list; an idle daemon."""
import contextlib
import glob
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import threading
import time

import virsh
from report import at_most, figure, give_up, note, ratio_at_least, ratio_at_most

MiB = 1 << 20


def milliseconds(work):
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class World:
    """A HOME of its own with the image in it. Everything that was made here is gone after close()."""

    def __init__(self, top, build, work, runtime):
        self.program, self.memory = f"{build}/src/sprite", f"{runtime}/memory"
        self.home, self.runtime = f"{work}/home", f"{runtime}/run"
        for folder in (self.memory, self.runtime, f"{self.home}/.config/sprite"):
            os.makedirs(folder, mode=0o700)
        self.configure("0B", 0)
        self.environment = {"HOME": self.home, "XDG_RUNTIME_DIR": self.runtime, "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                            "TERM": "dumb"}
        if not os.path.exists(f"{top}/build/images/base/manifest.json"):
            give_up("there is no image in build/images/base", "make image")
        self.run("image", "import", f"{top}/build/images/base")
        self.image = self.run("image", "info", "base", "--json")

    def configure(self, templates, pool):
        """For the next daemon: disk space for templates, and how many machines are kept ready."""
        with open(f"{self.home}/.config/sprite/config.yaml", "w") as file:
            file.write(f"memory_dir: {self.memory}\ntemplates: {templates}\npool: {pool}\nsprite:\n  memory: 512MiB\nsleep:\n  after: never\n")

    def run(self, *words, data=None):
        ran = subprocess.run([self.program, *words], env=self.environment, input=data, stdin=None if data else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if ran.returncode != 0:
            give_up(f"`sprite {' '.join(words)}` ended with {ran.returncode}: {ran.stderr.decode()}",
                    f"look at {self.home}/.local/state/sprite/daemon.log")
        return ran.stdout.decode()

    def request(self, method, target, body=None):
        connection = UnixConnection(f"{self.runtime}/sprite/daemon.sock")
        connection.request(method, target, body=body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            give_up(f"{method} {target}: {answer.status} {content.decode()}", "look at the daemon's log")
        connection.close()
        return content

    def daemon_pid(self):
        with open(f"{self.runtime}/sprite/daemon.json") as file:
            return json.load(file)["pid"]

    def close(self):
        listed = subprocess.run([self.program, "list"], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for name in listed.stdout.decode().split():
            subprocess.run([self.program, "destroy", "--force", "-s", name], env=self.environment, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, timeout=60)
        subprocess.run([self.program, "daemon", "stop"], env=self.environment, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=60)


def plain_boot(world, top, work):
    """Milliseconds from the start of a plain QEMU with the image's kernel, initramfs and root to the agent's first line on
    the console, which says that it waits for the daemon."""
    image = f"{top}/build/images/base"
    with open(f"{image}/manifest.json") as file:
        arguments = json.load(file)["kernel_arguments"]
    kvm = virsh.has_kvm()
    command = ["qemu-system-x86_64", "-machine", "q35,vmport=off,sata=off,smbus=off,i8042=off", "-accel",
               "kvm" if kvm else "tcg", "-cpu", "host" if kvm else "max,la57=off", "-m", "512", "-smp", "1", "-nodefaults",
               "-display", "none", "-serial", "stdio", "-kernel", f"{image}/vmlinuz", "-initrd", f"{image}/initramfs.img",
               "-append", arguments, "-drive", f"if=virtio,format=raw,snapshot=on,file={image}/rootfs.img",
               "-device", "virtio-serial-pci", "-chardev", f"socket,id=channel,path={work}/plain.sock,server=on,wait=off",
               "-device", "virtserialport,chardev=channel,name=sprite.channel", "-device", "virtio-rng-pci"]
    begun = time.perf_counter()
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": work})
    try:
        for line in machine.stdout:
            if line.strip():
                return (time.perf_counter() - begun) * 1000
        give_up("the plain QEMU ended without a word on its console", "run it by hand: " + " ".join(command))
    finally:
        machine.kill()
        machine.wait()


def lives(report, world, top, work, options):
    """Leaves the sprite `bench` running."""
    report.section("Lives, without templates", "plain QEMU, same kernel and image, to its first line on the console; by turns")
    creates, answers, boots, starts, stops, destroys = [], [], [], [], [], []
    for turn in range(options.creates):
        name = f"bench-{turn}"
        boots.append(plain_boot(world, top, work))
        creates.append(milliseconds(lambda: world.run("create", "--skip-console", name)))
        answers.append(creates[-1] + milliseconds(lambda: world.run("exec", "-s", name, "--", "true")))
        stops.append(milliseconds(lambda: world.run("stop", "-s", name)))
        starts.append(milliseconds(lambda: world.run("start", "-s", name)))
        if turn + 1 < options.creates:
            destroys.append(milliseconds(lambda: world.run("destroy", "--force", "-s", name)))
    report.add(figure("create", "ms", creates, boots))
    report.add(figure("create to the first exec's answer", "ms", answers, boots))
    report.add(figure("start of a stopped sprite", "ms", starts, boots))
    report.add(figure("stop", "ms", stops))
    if destroys:
        report.add(figure("destroy while running", "ms", destroys))
    return name


def wait_for(what, done, seconds=90, step=0.05):
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            give_up(f"not within {seconds} s: {what}", "look at the daemon's log")
        time.sleep(step)


def wait_for_template(world):
    wait_for("the template", lambda: glob.glob(f"{world.home}/.local/share/sprite/templates/[0-9a-f]*"))


def wait_for_blank(world, what="start"):
    """Until one is there, and has been for a moment."""
    def waits():
        with open(f"{world.home}/.local/state/sprite/daemon.log") as file:
            log = file.read()
        return any(f"machine {mark.split('/')[-2]} waits for the next {what}" in log
                   for mark in glob.glob(f"{world.runtime}/sprite/vm/*/hidden"))

    wait_for(f"a machine is kept ready for a {what}", waits)
    time.sleep(0.3)


def instant(report, world, options):
    """Sprites that go on from a template: to the answer of the first exec."""
    def ready(name):
        world.run("create", "--skip-console", name)
        world.run("exec", "-s", name, "--", "true")

    def series(count, before=lambda: None):
        times = []
        for turn in range(count):
            before()
            times.append(milliseconds(lambda: ready(f"quick-{turn}")))
            world.run("destroy", "--force", "-s", f"quick-{turn}")
        return times

    boots = series(options.boots)
    world.configure("4GiB", 0)
    world.run("daemon", "restart")
    ready("quick")
    wait_for_template(world)
    without = series(options.quick)
    world.configure("4GiB", 1)
    world.run("daemon", "restart")
    series(1)
    blank = series(options.quick, lambda: wait_for_blank(world))
    starts = []
    for _ in range(options.quick):
        world.run("stop", "-s", "quick")
        wait_for_blank(world)
        starts.append(milliseconds(lambda: world.run("exec", "-s", "quick", "--", "true")))
    wait_for_blank(world)
    begun = time.perf_counter()
    many = [subprocess.Popen([world.program, "create", "--skip-console", f"many-{i}"], env=world.environment,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for i in range(10)]
    for i, client in enumerate(many):
        if client.wait() != 0:
            give_up(f"`sprite create many-{i}` failed", "look at the daemon's log")
    answers = [subprocess.Popen([world.program, "exec", "-s", f"many-{i}", "--", "true"], env=world.environment,
                                stdin=subprocess.DEVNULL) for i in range(10)]
    if any(client.wait() != 0 for client in answers):
        give_up("an exec failed", "look at the daemon's log")
    at_once = (time.perf_counter() - begun) * 1000
    report.section("Templates: to the first exec's answer", "the same by a cold boot")
    report.add(figure("create with a blank", "ms", blank, boots, at_most(300)))
    report.add(figure("create without a blank", "ms", without, boots, at_most(900)))
    report.add(figure("create by a cold boot, over one with a blank", "ms", boots, blank, ratio_at_least(12)))
    report.add(figure("exec in a stopped sprite, with a blank", "ms", starts, boots, at_most(1000)))
    report.add(figure("10 creates at once, to the last one ready", "ms", [at_once], bar=at_most(6000)))
    for i in range(10):
        world.run("destroy", "--force", "-s", f"many-{i}")
    world.run("destroy", "--force", "-s", "quick")
    world.configure("0B", 0)
    world.run("daemon", "restart")


class Ticks:
    """A program in a sprite that says something every few milliseconds; how long it was silent is how long it stood still."""

    def __init__(self, world, name):
        program = "import time\nwhile True:\n  print(flush=True); time.sleep(0.005)"
        self.client = subprocess.Popen([world.program, "exec", "-s", name, "--", "python3", "-c", program], env=world.environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.heard = []
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        wait_for("the program ticks", lambda: len(self.heard) > 20)

    def _listen(self):
        while self.client.stdout.read1(65536):
            self.heard.append(time.perf_counter())

    def silence_since(self, begun):
        """The longest one, in milliseconds."""
        heard = [when for when in list(self.heard) if when >= begun - 1]
        return max((after - before) * 1000 for before, after in zip(heard, heard[1:]) if after >= begun)

    def close(self):
        self.client.kill()
        self.client.wait()


def forks(report, world, options):
    """A sprite in which a program runs is forked with its memory: until the clone answers, and how long the program stood still."""
    world.configure("4GiB", 1)
    world.run("daemon", "restart")
    world.run("create", "--skip-console", "origin")
    wait_for_template(world)
    ticks = Ticks(world, "origin")
    ready, silences, usual = [], [], []
    with contextlib.closing(ticks):
        for turn in range(options.forks + 1):
            if turn > 0:
                wait_for_blank(world, "wake")
            begun = time.perf_counter()
            time.sleep(0.5)
            usual.append(ticks.silence_since(begun))
            begun = time.perf_counter()
            world.run("fork", "origin", "clone", "--memory")
            world.run("exec", "-s", "clone", "--", "true")
            ready.append((time.perf_counter() - begun) * 1000)
            silences.append(ticks.silence_since(begun))
            world.run("destroy", "--force", "-s", "clone")
    without, ready = ready[:1], ready[1:]
    report.section("Fork with memory, of a sprite in which a program runs", "how long the program is silent when nobody forks")
    report.add(figure("fork --memory, to an exec's answer in the clone", "ms", ready, bar=at_most(600)))
    report.add(figure("the same, the first time: no machine is kept ready", "ms", without))
    report.add(figure("the source stands still", "ms", silences, usual, at_most(250)))
    world.run("destroy", "--force", "-s", "origin")
    world.configure("0B", 0)
    world.run("daemon", "restart")


def execs(report, world, name, options):
    inside = f"i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done"
    floor = milliseconds(lambda: world.run("exec", "-s", name, "--", "sh", "-c", inside)) / 200
    report.section("Exec", "one /bin/true started by a shell in the guest")
    report.add(figure("sprite exec -- true", "ms", [milliseconds(lambda: world.run("exec", "-s", name, "--", "true"))
                                                    for _ in range(options.execs)], [floor]))
    target = f"/v1/sprites/{name}/exec?cmd=true"
    report.add(figure("POST exec of true", "ms", [milliseconds(lambda: world.request("POST", target))
                                                  for _ in range(options.execs)], [floor]))

    data = os.urandom(options.bulk_mib * MiB)
    pipe = f"head -c {len(data)} /dev/zero | cat | wc -c"
    report.section("Exec, bulk data", "through two pipes inside the guest; by turns")
    rate = lambda work: options.bulk_mib * 1.048576 / milliseconds(work) * 1000
    inside, rates = [], {"stdin": [], "stdout": [], "both": []}
    for _ in range(options.rounds):
        inside.append(rate(lambda: world.run("exec", "-s", name, "--", "sh", "-c", pipe)))
        rates["stdin"].append(rate(lambda: world.run("exec", "-s", name, "--", "wc", "-c", data=data)))
        rates["stdout"].append(rate(lambda: world.run("exec", "-s", name, "--", "head", "-c", str(len(data)), "/dev/zero")))
        rates["both"].append(rate(lambda: echo(world, name, data)))
    for way, what in (("stdin", "stdin of wc"), ("stdout", "stdout of head"), ("both", "stdin to stdout of cat, each way")):
        report.add(figure(what, "MB/s", rates[way], inside, rate=True))


def echo(world, name, data):
    ran = subprocess.run([world.program, "exec", "-s", name, "--", "cat"], env=world.environment, input=data,
                         stdout=subprocess.PIPE)
    if ran.stdout != data:
        give_up("what came back from `cat` is not what was sent", "run tests/functional/run exec-bulk")


def commands(report, world, options):
    report.section("Commands, with a running daemon", "`true` started the same way; by turns")
    listed, fetched, versions, trues = [], [], [], []
    for _ in range(options.lists):
        trues.append(milliseconds(lambda: subprocess.run(["/bin/true"], env=world.environment, stdin=subprocess.DEVNULL,
                                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)))
        versions.append(milliseconds(lambda: world.run("version")))
        listed.append(milliseconds(lambda: world.run("list")))
        fetched.append(milliseconds(lambda: world.request("GET", "/v1/sprites")))
    report.add(figure("sprite list", "ms", listed, trues, at_most(20)))
    report.add(figure("GET /v1/sprites alone", "ms", fetched, trues))
    report.add(figure("sprite version", "ms", versions, trues))


def vm_is_there(world):
    """Whether a QEMU of this world runs."""
    found = subprocess.run(["pgrep", "-f", f"qemu-system.*{world.memory}"], stdout=subprocess.DEVNULL)
    return found.returncode == 0


IN_USE = (200, 1024)  # MB of a guest's memory


def sleep_on_disk(world, name):
    """Milliseconds until it returned, and until the VM, the only one, was gone."""
    begun = time.perf_counter()
    world.run("sleep", "--deep", name)
    returned = (time.perf_counter() - begun) * 1000
    wait_for("the VM is gone", lambda: not vm_is_there(world), step=0.01)
    return returned, (time.perf_counter() - begun) * 1000


def fill_memory(megabytes):
    """A program after which so much of the guest's memory is in use."""
    return ["sh", "-c", "used=$(awk '/MemTotal/ {t=$2} /MemAvailable/ {a=$2} END {print int((t-a)/1000)}' /proc/meminfo); "
            f"head -c $((({megabytes} - used) * 1000000)) /dev/urandom >/dev/shm/fill"]


def wakes_in_use(world, options):
    """Milliseconds to an exec's answer from the disk, for each amount of memory in use."""
    times = {}
    for megabytes in IN_USE:
        name = f"uses-{megabytes}"
        world.run("create", "--skip-console", "--memory", "2GiB", name)
        world.run("exec", "-s", name, "--", *fill_memory(megabytes))
        times[megabytes] = []
        for _ in range(options.sleeps):
            sleep_on_disk(world, name)
            times[megabytes].append(milliseconds(lambda: world.run("exec", "-s", name, "--", "true")))
        world.run("destroy", "--force", "-s", name)
    return times


def restores(top, build, work, runtime, options, memory_mib, *first_program):
    """Milliseconds of `virsh save` and of `virsh restore` until a program has run, of the same guest."""
    disk, saved = f"{work}/baseline.qcow2", f"{work}/baseline.saved"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{top}/build/images/base/rootfs.img", "-F", "raw", disk], check=True)
    with virsh.machine(top, build, work, runtime, disk, memory_mib) as machine:
        if not machine:
            return [], []
        virsh.answer(build, runtime, *first_program)
        saves, restored = [], []
        for _ in range(options.sleeps):
            saves.append(machine.run(f"save {virsh.NAME} {saved}"))
            restored.append(machine.run(f"restore {saved}") + milliseconds(lambda: virsh.answer(build, runtime)))
        return saves, restored


def sleeps(report, top, build, world, work, runtime, options):
    """From the touch of a sleeping sprite to an exec's answer."""
    answer = lambda: world.run("exec", "-s", "sleeper", "--", "true")
    world.run("create", "--skip-console", "sleeper")
    boots = []
    for _ in range(options.boots):
        world.run("stop", "-s", "sleeper")
        boots.append(milliseconds(answer))
    pauses, from_pause, deeps, gone, from_disk = [], [], [], [], []
    for _ in range(options.sleeps):
        pauses.append(milliseconds(lambda: world.run("sleep", "sleeper")))
        from_pause.append(milliseconds(answer))
        returned, ended = sleep_on_disk(world, "sleeper")
        deeps.append(returned)
        gone.append(ended)
        from_disk.append(milliseconds(answer))
    world.run("stop", "-s", "sleeper")
    in_use = wakes_in_use(world, options)
    saves, restored = restores(top, build, work, runtime, options, 512)
    restored_in_use = {megabytes: restores(top, build, work, runtime, options, 2048, *fill_memory(megabytes))[1]
                       for megabytes in IN_USE}
    report.section("Sleep: to an exec's answer", "a cold boot of the same sprite; of sleep --deep: virsh save")
    report.add(figure("sleep", "ms", pauses))
    report.add(figure("wake, paused", "ms", from_pause, boots, at_most(100)))
    report.add(figure("sleep --deep", "ms", deeps, saves, at_most(150)))
    report.add(figure("sleep --deep, until the VM is gone", "ms", gone, saves, at_most(2000)))
    report.add(figure("wake, from the disk", "ms", from_disk, boots, at_most(1000)))
    if restored:
        report.add(figure("virsh restore, over a wake from the disk", "ms", restored, from_disk, ratio_at_least(4)))
    few, many = (in_use[megabytes] for megabytes in IN_USE)
    report.add(figure(f"wake with {IN_USE[0]} MB in use", "ms", few))
    report.add(figure(f"wake with {IN_USE[1]} MB in use, over that", "ms", many, few, ratio_at_most(2.5)))
    for megabytes, restored in restored_in_use.items():
        if restored:
            report.add(figure(f"virsh restore of {megabytes} MB in use, over that wake", "ms", restored, in_use[megabytes],
                              ratio_at_least(4)))
    sleeps_with_blank(report, world, options, boots)


def sleeps_with_blank(report, world, options, boots):
    world.configure("4GiB", 1)
    world.run("daemon", "restart")
    answer = lambda: world.run("exec", "-s", "sleeper", "--", "true")
    answer()
    wait_for_template(world)
    from_disk, cold = [], []

    def put_on_disk():
        world.run("sleep", "--deep", "sleeper")
        wait_for("its memory is on the disk", lambda: glob.glob(f"{world.home}/.local/share/sprite/sprites/sprite-*/memory"))
        time.sleep(0.3)

    put_on_disk()
    answer()  # from now on a machine waits for the next wake
    for _ in range(options.sleeps):
        wait_for_blank(world, "wake")
        put_on_disk()
        from_disk.append(milliseconds(answer))
        world.run("stop", "-s", "sleeper")
        wait_for_blank(world)
        cold.append(milliseconds(answer))
    report.add(figure("wake from the disk, with a blank", "ms", from_disk, boots, at_most(400)))
    report.add(figure("cold wake, with a blank", "ms", cold, boots, at_most(1000)))
    world.run("destroy", "--force", "-s", "sleeper")
    world.configure("0B", 0)
    world.run("daemon", "restart")


def idle(report, world, name, options):
    """The daemon with no sprite awake."""
    world.run("stop", "-s", name)
    time.sleep(3)
    pid = world.daemon_pid()

    def processor_ms():
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    before = processor_ms()
    time.sleep(options.idle_s)
    used = processor_ms() - before
    with open(f"/proc/{pid}/status") as file:
        resident = int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024
    report.section("Idle daemon, no sprite awake", None)
    report.add(figure("resident memory", "MiB", [resident], bar=at_most(40)))
    report.add(figure(f"processor time in {options.idle_s:g} s", "ms", [used], bar=at_most(10)))


def measure(report, top, build, work, runtime, options, chosen):
    with contextlib.closing(World(top, build, work, runtime)) as world:
        note("ready: the image is imported; `create` includes starting the daemon the first time")
        if "templates" in chosen:
            instant(report, world, options)
        if "sleep" in chosen:
            sleeps(report, top, build, world, work, runtime, options)
        if "forks" in chosen:
            forks(report, world, options)
        if "sprites" not in chosen:
            return
        name = lives(report, world, top, work, options)
        execs(report, world, name, options)
        commands(report, world, options)
        idle(report, world, name, options)
