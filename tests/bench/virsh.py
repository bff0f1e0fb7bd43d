"""A machine as libvirt's own tools keep it: qcow2, snapshots, save and restore. For baselines."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import time

from report import give_up, note

NAME = "baseline"
CONFIGURATION = """stdio_handler = "file"
security_driver = "none"
remember_owner = 0
dynamic_ownership = 0
namespaces = []
cgroup_controllers = []
""" + ('user = "root"\ngroup = "root"\n' if os.geteuid() == 0 else "")
MACHINE = """<domain type='{kind}'>
  <name>{name}</name>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><kernel>{image}/vmlinuz</kernel><initrd>{image}/initramfs.img</initrd>
    <cmdline>{arguments}</cmdline></os>
  <cpu mode='{cpu}'/>
  <on_reboot>destroy</on_reboot>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
    <interface type='user'><model type='virtio'/></interface>
    <controller type='virtio-serial'/>
    <channel type='unix'><source mode='bind' path='{channel}'/><target type='virtio' name='sprite.channel'/></channel>
    <serial type='file'><source path='{console}'/><target port='0'/></serial>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def has_kvm():
    with open("/proc/cpuinfo") as file:
        return os.access("/dev/kvm", os.R_OK | os.W_OK) and re.search(r"\b(vmx|svm)\b", file.read()) is not None


class Virsh:
    """One virsh that goes on from command to command, so that its start does not count."""

    PROMPT = "virsh # "

    def __init__(self, folder):
        os.makedirs(f"{folder}/etc", mode=0o700, exist_ok=True)
        with open(f"{folder}/etc/qemu.conf", "w") as file:
            file.write(CONFIGURATION)
        self.session = subprocess.Popen(["stdbuf", "-o0", "virsh", "--quiet", "--connect", f"qemu:///embed?root={folder}"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.until_prompt("virsh")

    def until_prompt(self, command):
        said = b""
        while not said.endswith(self.PROMPT.encode()):
            some = os.read(self.session.stdout.fileno(), 65536)
            if not some:
                give_up(f"`{command}` ended: {said.decode()}", "run it by hand")
            said += some
        return said.decode()

    def run(self, command):
        """Milliseconds until it is done."""
        begun = time.perf_counter()
        self.session.stdin.write(f"{command}\n".encode())
        self.session.stdin.flush()
        said = self.until_prompt(command)
        took = (time.perf_counter() - begun) * 1000
        if "error:" in said:
            give_up(f"`virsh {command}`: {said}", "run it by hand")
        return took

    def close(self):
        self.session.stdin.close()
        self.session.wait()


def answer(build, runtime, *program):
    """Returns when a program, `true` if no other is given, has run in the machine."""
    subprocess.run([f"{build}/tests/tool_agent_call", f"{runtime}/virsh.sock", "run", *(program or ["true"])], check=True)


@contextlib.contextmanager
def machine(top, build, work, runtime, disk, memory_mib=512):
    """A machine with the image's kernel and the qcow2 `disk`, in which programs may run, and the virsh that keeps it;
    None without virsh."""
    if not shutil.which("virsh"):
        note("virsh is not installed: `apt install libvirt-clients` adds what it takes")
        yield None
        return
    image, console = f"{top}/build/images/base", f"{work}/baseline.log"
    with open(f"{image}/manifest.json") as file:
        arguments = json.load(file)["kernel_arguments"]
    with open(f"{work}/baseline.xml", "w") as file:
        file.write(MACHINE.format(name=NAME, kind="kvm" if has_kvm() else "qemu", cpu="host-passthrough" if has_kvm() else "maximum",
                                  memory_mib=memory_mib, image=image, arguments=arguments, disk=disk, console=console,
                                  channel=f"{runtime}/virsh.sock"))
    with contextlib.closing(Virsh(f"{runtime}/virsh")) as virsh:
        virsh.run(f"create {work}/baseline.xml")
        try:
            subprocess.run([f"{build}/tests/tool_agent_call", f"{runtime}/virsh.sock", "configure"], check=True)
            yield virsh
        finally:
            virsh.run(f"destroy {NAME}")
