#include "vm/domain_xml.h"

#include <doctest/doctest.h>

using namespace sprite;
using namespace sprite::vm;

namespace {

constexpr auto domain_id = "11111111-2222-4333-8444-555555555555";

MachineSpec spec() {
  return {.id = "0f3c9a52-7b1e-4c1d-9f00-123456789abc",
          .hostname = "api",
          .kernel = "/images/1/vmlinuz",
          .initramfs = "/images/1/initramfs.img",
          .kernel_arguments = "console=ttyS0 quiet",
          .memory_bytes = 512 * MiB,
          .vcpus = 2,
          .memory_file = "/dev/shm/sprite/0f3c9a527b1e.ram",
          .disk_socket = "/run/sprite/vm/0f3c9a527b1e/disk.sock",
          .disk_export = "0f3c9a527b1e",
          .checkpoints_export = "checkpoints",
          .channel_socket = "/run/sprite/vm/0f3c9a527b1e/channel.sock",
          .console_log = "/data/sprites/0f3c9a527b1e/console.log",
          .runtime_directory = "/run/sprite/vm/0f3c9a527b1e",
          .mac_address = "52:54:00:12:34:56"};
}

Platform platform() {
  return {Accelerator::emulation, "/usr/bin/qemu-system-x86_64", "pc-q35-7.2", Network::passt, 0, {}};
}

constexpr auto golden = R"(<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>sprite-111111112222</name>
<uuid>11111111-2222-4333-8444-555555555555</uuid>
<title>api</title>
<genid/>
<memory unit='b'>536870912</memory>
<vcpu>2</vcpu>
<os>
<type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
<kernel>/images/1/vmlinuz</kernel>
<initrd>/images/1/initramfs.img</initrd>
<cmdline>console=ttyS0 quiet</cmdline>
</os>
<features><acpi/><apic/></features>
<cpu mode='maximum' check='none'><feature policy='disable' name='la57'/></cpu>
<clock offset='utc'><timer name='hpet' present='no'/></clock>
<on_poweroff>destroy</on_poweroff>
<on_reboot>destroy</on_reboot>
<on_crash>destroy</on_crash>
<devices>
<emulator>/usr/bin/qemu-system-x86_64</emulator>
<controller type='usb' model='none'/>
<serial type='file'><source path='/data/sprites/0f3c9a527b1e/console.log' append='on'/><target port='0'/></serial>
<controller type='virtio-serial' index='0' ports='2'><address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/></controller>
<channel type='unix'><source mode='bind' path='/run/sprite/vm/0f3c9a527b1e/111111112222.sock'/><target type='virtio' name='sprite.channel'/></channel>
<rng model='virtio'><backend model='random'>/dev/urandom</backend><address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/></rng>
<memballoon model='virtio' freePageReporting='on'><address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/></memballoon>
<video><model type='none'/></video>
</devices>
<qemu:commandline>
<qemu:arg value='-object'/>
<qemu:arg value='memory-backend-file,id=sprite.ram,mem-path=/dev/shm/sprite/0f3c9a527b1e.ram,size=536870912,share=on'/>
<qemu:arg value='-machine'/>
<qemu:arg value='memory-backend=sprite.ram,vmport=off,sata=off,smbus=off,i8042=off'/>
<qemu:arg value='-blockdev'/>
<qemu:arg value='driver=nbd,node-name=sprite.disk,server.type=unix,server.path=/run/sprite/vm/0f3c9a527b1e/disk.sock,export=0f3c9a527b1e,reconnect-delay=60,discard=unmap,detect-zeroes=off'/>
<qemu:arg value='-device'/>
<qemu:arg value='virtio-blk-pci,id=sprite.disk0,drive=sprite.disk,werror=stop,rerror=stop,bus=pcie.0,addr=0x05'/>
<qemu:arg value='-blockdev'/>
<qemu:arg value='driver=nbd,node-name=sprite.checkpoints,server.type=unix,server.path=/run/sprite/vm/0f3c9a527b1e/disk.sock,export=checkpoints,reconnect-delay=60,read-only=on'/>
<qemu:arg value='-device'/>
<qemu:arg value='virtio-blk-pci,id=sprite.checkpoints0,drive=sprite.checkpoints,num-queues=1,werror=report,rerror=report,bus=pcie.0,addr=0x07'/>
<qemu:arg value='-netdev'/>
<qemu:arg value='stream,id=sprite.net,server=off,addr.type=unix,addr.path=/run/sprite/vm/0f3c9a527b1e/net/net.sock'/>
<qemu:arg value='-device'/>
<qemu:arg value='virtio-net-pci,id=sprite.net0,netdev=sprite.net,mac=52:54:00:12:34:56,romfile=,bus=pcie.0,addr=0x06'/>
<qemu:arg value='-pidfile'/>
<qemu:arg value='/run/sprite/vm/0f3c9a527b1e/qemu.pid'/>
</qemu:commandline>
</domain>
)";

}  // namespace

TEST_CASE("the domain of an emulated machine, whole") { CHECK(domain_xml(spec(), domain_id, platform()) == golden); }

TEST_CASE("an emulated machine is told how fast its time stamp counter is") {
  Platform measured = platform();
  measured.tsc_khz = 2596097;
  CHECK(domain_xml(spec(), domain_id, measured).find(" tsc_early_khz=2596097</cmdline>") != std::string::npos);
}

TEST_CASE("KVM gives the host's CPU, less what cannot be saved") {
  Platform kvm = platform();
  kvm.accelerator = Accelerator::kvm;
  const std::string text = domain_xml(spec(), domain_id, kvm);
  CHECK(text.starts_with("<domain type='kvm'"));
  CHECK(text.find("mode='host-passthrough' check='none' migratable='on'") != std::string::npos);
}

TEST_CASE("without passt the network is QEMU's own, with the same addresses") {
  Platform user = platform();
  user.network = Network::user;
  const std::string text = domain_xml(spec(), domain_id, user);
  CHECK(text.find("user,id=sprite.net,ipv6=off,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,dhcpstart=10.0.2.15") !=
        std::string::npos);
  CHECK(text.find("net.sock") == std::string::npos);
}

TEST_CASE("names and paths cannot leave their place") {
  MachineSpec odd = spec();
  odd.hostname = "</title><memory>&";
  odd.memory_file = "/dev/shm/a,share=off'/b.ram";
  odd.disk_export = "x,read-only=on";
  const std::string text = domain_xml(odd, domain_id, platform());
  CHECK(text.find("<title>&lt;/title&gt;&lt;memory&gt;&amp;</title>") != std::string::npos);
  CHECK(text.find("mem-path=/dev/shm/a,,share=off&apos;/b.ram,size=") != std::string::npos);
  CHECK(text.find("export=x,,read-only=on,reconnect-delay") != std::string::npos);
}

TEST_CASE("a machine that waits for a state is told so; all else is the same") {
  const std::string boots = domain_xml(spec(), domain_id, platform());
  std::string waits = domain_xml(spec(), domain_id, platform(), Beginning::wait);
  const std::string more = "<qemu:arg value='-incoming'/>\n<qemu:arg value='defer'/>\n";
  REQUIRE(waits.find(more) != std::string::npos);
  waits.erase(waits.find(more), more.size());
  CHECK(waits == boots);
}

TEST_CASE("a launcher takes QEMU's place") {
  Platform platform = ::platform();
  platform.launcher = "/data/qemu-one-thread";
  CHECK(domain_xml(spec(), "", platform).find("<emulator>/data/qemu-one-thread</emulator>") != std::string::npos);
}

TEST_CASE("the checksum of devices changes with the machine, not with its names") {
  const std::string checksum = devices_checksum(spec(), platform());
  MachineSpec renamed = spec();
  renamed.hostname = renamed.disk_export = renamed.kernel_arguments = "other";
  renamed.memory_file = renamed.channel_socket = renamed.disk_socket = renamed.console_log = "/other";
  renamed.kernel = renamed.initramfs = renamed.runtime_directory = "/other";
  renamed.mac_address = "52:54:00:00:00:00";
  Platform same = platform();
  same.tsc_khz = 12345;
  same.launcher = "/launcher";
  same.network = Network::user;
  CHECK(devices_checksum(renamed, same) == checksum);
  MachineSpec larger = spec();
  larger.vcpus = 3;
  CHECK(devices_checksum(larger, platform()) != checksum);
  Platform newer = platform();
  newer.machine_type = "pc-q35-8.0";
  CHECK(devices_checksum(spec(), newer) != checksum);
}
