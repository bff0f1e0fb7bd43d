#include "vm/domain_xml.h"

#include <fmt/format.h>
#include <array>

#include "base/crc32c.h"
#include "vm/machine_files.h"

namespace sprite::vm {
namespace {

/// `text` as it may stand between tags and in attributes.
std::string xml(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '\'': safe += "&apos;"; break;
      case '"': safe += "&quot;"; break;
      default: safe += c;
    }
  }
  return safe;
}

/// `text` as a value in a QEMU option list, where a comma is written twice.
std::string option(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    safe += c;
    if (c == ',') safe += c;
  }
  return safe;
}

/// Every device has its place on the root bus: a saved device state finds it again, and the guest's kernel has no root
/// ports to search. QEMU itself takes 0x00, 0x1e and 0x1f.
enum Slot {
  channel_slot = 2,
  random_slot = 3,
  balloon_slot = 4,
  disk_slot = 5,
  network_slot = 6,
  checkpoints_slot = 7
};

std::string address(Slot slot) {
  return fmt::format("<address type='pci' domain='0x0000' bus='0x00' slot='0x{:02x}' function='0x0'/>",
                     static_cast<int>(slot));
}

// Parts of <domain>, in order.

std::string generation(const MachineSpec&, const Platform&) { return "<genid/>"; }

std::string resources(const MachineSpec& spec, const Platform&) {
  return fmt::format("<memory unit='b'>{}</memory>\n<vcpu>{}</vcpu>", spec.memory_bytes, spec.vcpus);
}

std::string boot(const MachineSpec& spec, const Platform& platform) {
  const std::string tsc = platform.tsc_khz > 0 ? fmt::format(" tsc_early_khz={}", platform.tsc_khz) : "";
  return fmt::format(
      "<os>\n<type arch='x86_64' "
      "machine='{}'>hvm</type>\n<kernel>{}</kernel>\n<initrd>{}</initrd>\n<cmdline>{}</cmdline>\n</os>",
      platform.machine_type, xml(spec.kernel.string()), xml(spec.initramfs.string()), xml(spec.kernel_arguments + tsc));
}

std::string features(const MachineSpec&, const Platform&) { return "<features><acpi/><apic/></features>"; }

/// KVM: the host's own CPU less what cannot be saved. Emulation: all that QEMU can, but for five-level page tables,
/// which only make every walk longer.
std::string cpu(const MachineSpec&, const Platform& platform) {
  if (platform.accelerator == Accelerator::kvm) return "<cpu mode='host-passthrough' check='none' migratable='on'/>";
  return "<cpu mode='maximum' check='none'><feature policy='disable' name='la57'/></cpu>";
}

std::string clock(const MachineSpec&, const Platform&) {
  return "<clock offset='utc'><timer name='hpet' present='no'/></clock>";
}

/// A guest that reboots ends, too: the disk's owner decides whether it starts again.
std::string ends(const MachineSpec&, const Platform&) {
  return "<on_poweroff>destroy</on_poweroff>\n<on_reboot>destroy</on_reboot>\n<on_crash>destroy</on_crash>";
}

// Parts of <devices>, in order.

std::string emulator(const MachineSpec&, const Platform& platform) {
  const Path& program = platform.launcher.empty() ? platform.emulator : platform.launcher;
  return fmt::format("<emulator>{}</emulator>", xml(program.string()));
}

std::string no_usb(const MachineSpec&, const Platform&) { return "<controller type='usb' model='none'/>"; }

std::string console(const MachineSpec& spec, const Platform&) {
  return fmt::format("<serial type='file'><source path='{}' append='on'/><target port='0'/></serial>",
                     xml(spec.console_log.string()));
}

std::string channel(const MachineSpec& spec, const Platform&) {
  return fmt::format(
      "<controller type='virtio-serial' index='0' ports='2'>{}</controller>\n"
      "<channel type='unix'><source mode='bind' path='{}'/><target type='virtio' name='sprite.channel'/></channel>",
      address(channel_slot), xml(spec.channel_socket.string()));
}

std::string random_source(const MachineSpec&, const Platform&) {
  return fmt::format("<rng model='virtio'><backend model='random'>/dev/urandom</backend>{}</rng>",
                     address(random_slot));
}

/// Pages that the guest frees leave the memory file.
std::string balloon(const MachineSpec&, const Platform&) {
  return fmt::format("<memballoon model='virtio' freePageReporting='on'>{}</memballoon>", address(balloon_slot));
}

std::string no_video(const MachineSpec&, const Platform&) { return "<video><model type='none'/></video>"; }

// QEMU options of our own, in order.

using Options = std::vector<std::string>;

Options memory(const MachineSpec& spec, const Platform&) {
  return {"-object",
          fmt::format("memory-backend-file,id=sprite.ram,mem-path={},size={},share=on",
                      option(spec.memory_file.string()), spec.memory_bytes),
          "-machine", "memory-backend=sprite.ram,vmport=off,sata=off,smbus=off,i8042=off"};
}

std::string export_of(const MachineSpec& spec, std::string_view node, const std::string& name) {
  return fmt::format("driver=nbd,node-name={},server.type=unix,server.path={},export={},reconnect-delay={}", node,
                     option(spec.disk_socket.string()), option(name), disk_reconnect_limit.count());
}

/// An I/O error pauses the machine and never reaches the guest; a server that went away is awaited.
Options disk(const MachineSpec& spec, const Platform&) {
  return {
      "-blockdev", export_of(spec, "sprite.disk", spec.disk_export) + ",discard=unmap,detect-zeroes=off", "-device",
      fmt::format("virtio-blk-pci,id=sprite.disk0,drive=sprite.disk,werror=stop,rerror=stop,bus=pcie.0,addr=0x{:02x}",
                  static_cast<int>(disk_slot))};
}

/// What cannot be read of it is the guest's to know: its own disk is another.
Options checkpoints(const MachineSpec& spec, const Platform&) {
  if (spec.checkpoints_export.empty()) return {};
  return {"-blockdev", export_of(spec, "sprite.checkpoints", spec.checkpoints_export) + ",read-only=on", "-device",
          fmt::format("virtio-blk-pci,id=sprite.checkpoints0,drive=sprite.checkpoints,num-queues=1,werror=report,"
                      "rerror=report,bus=pcie.0,addr=0x{:02x}",
                      static_cast<int>(checkpoints_slot))};
}

Options network(const MachineSpec& spec, const Platform& platform) {
  return {"-netdev",
          netdev_option("sprite.net", platform.network, option(network_socket(spec.runtime_directory).string())),
          "-device",
          fmt::format("virtio-net-pci,id=sprite.net0,netdev=sprite.net,mac={},romfile=,bus=pcie.0,addr=0x{:02x}",
                      option(spec.mac_address), static_cast<int>(network_slot))};
}

/// QEMU holds a lock on it while it lives, so the number in it is never another process's.
Options process_id(const MachineSpec& spec, const Platform&) {
  return {"-pidfile", pid_file(spec.runtime_directory).string()};
}

using XmlPart = std::string (*)(const MachineSpec&, const Platform&);
using OptionPart = Options (*)(const MachineSpec&, const Platform&);

constexpr std::array<XmlPart, 7> domain_parts{generation, resources, boot, features, cpu, clock, ends};
constexpr std::array<XmlPart, 7> device_parts{emulator, no_usb, console, channel, random_source, balloon, no_video};
constexpr std::array<OptionPart, 5> option_parts{memory, disk, checkpoints, network, process_id};

}  // namespace

std::string domain_name(const std::string& domain_id) { return "sprite-" + short_id(domain_id); }

std::string domain_xml(const MachineSpec& machine, const std::string& domain_id, const Platform& platform,
                       Beginning beginning) {
  MachineSpec spec = machine;
  spec.channel_socket = channel_listener(machine.channel_socket, domain_id);
  std::string text = fmt::format("<domain type='{}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n",
                                 platform.accelerator == Accelerator::kvm ? "kvm" : "qemu");
  text += fmt::format("<name>{}</name>\n<uuid>{}</uuid>\n<title>{}</title>\n", domain_name(domain_id), domain_id,
                      xml(spec.hostname));
  for (const XmlPart part : domain_parts) text += part(spec, platform) + "\n";
  text += "<devices>\n";
  for (const XmlPart part : device_parts) text += part(spec, platform) + "\n";
  text += "</devices>\n<qemu:commandline>\n";
  for (const OptionPart part : option_parts)
    for (const std::string& each : part(spec, platform)) text += fmt::format("<qemu:arg value='{}'/>\n", xml(each));
  if (beginning == Beginning::wait) text += "<qemu:arg value='-incoming'/>\n<qemu:arg value='defer'/>\n";
  return text + "</qemu:commandline>\n</domain>\n";
}

std::string devices_checksum(const MachineSpec& spec, Platform platform) {
  MachineSpec bare;  // no names, no paths, no kernel: what was running is in the saved RAM
  bare.memory_bytes = spec.memory_bytes;
  bare.vcpus = spec.vcpus;
  if (!spec.checkpoints_export.empty()) bare.checkpoints_export = "checkpoints";
  platform.tsc_khz = 0;
  platform.launcher.clear();
  platform.network = Network::user;  // the guest sees the same device
  return fmt::format("{:08x}", crc32c(0, as_bytes(domain_xml(bare, "", platform))));
}

}  // namespace sprite::vm
