// The functions of libvirt that we call, each of which passes the call on to the loaded library. So the rest of vm/
// uses libvirt's own headers and names. One more function is one more line here; without it the program does not link.
#include "vm/libvirt_library.h"

#include <dlfcn.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <string>

namespace sprite::vm {
namespace {

/// It brings libvirt.so.0 with it, and a search in it finds the functions of both.
constexpr auto library_name = "libvirt-qemu.so.0";

void* library = nullptr;

/// The library's own version of a function of this file. All that we use has been there since libvirt 1.2.7 (2014).
template <auto Function>
auto real(const char* name) {
  static const auto function = reinterpret_cast<decltype(Function)>(library ? ::dlsym(library, name) : nullptr);
  if (!function) die(std::string(name) + ": libvirt is not loaded, or lacks it");
  return function;
}

}  // namespace

Result<> load_libvirt() {
  static const std::string failure = [] {
    library = ::dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    return std::string(library ? "" : ::dlerror());
  }();
  if (library) return {};
  return Error{Error::Kind::unavailable,
               "libvirt is not installed",
               "run `make deps`, or `apt install libvirt0 libvirt-daemon-driver-qemu`",
               {failure}};
}

}  // namespace sprite::vm

extern "C" {

using sprite::vm::real;

int virInitialize() { return real<&virInitialize>("virInitialize")(); }
virErrorPtr virGetLastError() { return real<&virGetLastError>("virGetLastError")(); }
void virSetErrorFunc(void* data, virErrorFunc handler) { real<&virSetErrorFunc>("virSetErrorFunc")(data, handler); }

// Connections.

virConnectPtr virConnectOpen(const char* name) { return real<&virConnectOpen>("virConnectOpen")(name); }
int virConnectClose(virConnectPtr connection) { return real<&virConnectClose>("virConnectClose")(connection); }
int virConnectGetVersion(virConnectPtr connection, unsigned long* version) {
  return real<&virConnectGetVersion>("virConnectGetVersion")(connection, version);
}
int virConnectGetLibVersion(virConnectPtr connection, unsigned long* version) {
  return real<&virConnectGetLibVersion>("virConnectGetLibVersion")(connection, version);
}
char* virConnectGetDomainCapabilities(virConnectPtr connection, const char* emulator, const char* architecture,
                                      const char* machine, const char* type, unsigned flags) {
  return real<&virConnectGetDomainCapabilities>("virConnectGetDomainCapabilities")(connection, emulator, architecture,
                                                                                   machine, type, flags);
}

// Domains.

virDomainPtr virDomainCreateXML(virConnectPtr connection, const char* xml, unsigned flags) {
  return real<&virDomainCreateXML>("virDomainCreateXML")(connection, xml, flags);
}
virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char* uuid) {
  return real<&virDomainLookupByUUIDString>("virDomainLookupByUUIDString")(connection, uuid);
}
int virDomainFree(virDomainPtr domain) { return real<&virDomainFree>("virDomainFree")(domain); }
int virDomainDestroy(virDomainPtr domain) { return real<&virDomainDestroy>("virDomainDestroy")(domain); }
int virDomainSuspend(virDomainPtr domain) { return real<&virDomainSuspend>("virDomainSuspend")(domain); }
int virDomainResume(virDomainPtr domain) { return real<&virDomainResume>("virDomainResume")(domain); }
int virDomainIsActive(virDomainPtr domain) { return real<&virDomainIsActive>("virDomainIsActive")(domain); }
int virDomainGetState(virDomainPtr domain, int* state, int* reason, unsigned flags) {
  return real<&virDomainGetState>("virDomainGetState")(domain, state, reason, flags);
}
int virDomainGetUUIDString(virDomainPtr domain, char* text) {
  return real<&virDomainGetUUIDString>("virDomainGetUUIDString")(domain, text);
}

int virDomainQemuMonitorCommand(virDomainPtr domain, const char* command, char** answer, unsigned flags) {
  return real<&virDomainQemuMonitorCommand>("virDomainQemuMonitorCommand")(domain, command, answer, flags);
}

// Events.

int virEventRegisterDefaultImpl() { return real<&virEventRegisterDefaultImpl>("virEventRegisterDefaultImpl")(); }
int virEventRunDefaultImpl() { return real<&virEventRunDefaultImpl>("virEventRunDefaultImpl")(); }
int virEventAddTimeout(int frequency, virEventTimeoutCallback callback, void* data, virFreeCallback release) {
  return real<&virEventAddTimeout>("virEventAddTimeout")(frequency, callback, data, release);
}
void virEventUpdateTimeout(int timer, int frequency) {
  real<&virEventUpdateTimeout>("virEventUpdateTimeout")(timer, frequency);
}
int virEventRemoveTimeout(int timer) { return real<&virEventRemoveTimeout>("virEventRemoveTimeout")(timer); }
int virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain, int event,
                                     virConnectDomainEventGenericCallback callback, void* data,
                                     virFreeCallback release) {
  return real<&virConnectDomainEventRegisterAny>("virConnectDomainEventRegisterAny")(connection, domain, event,
                                                                                     callback, data, release);
}
int virConnectDomainEventDeregisterAny(virConnectPtr connection, int callback) {
  return real<&virConnectDomainEventDeregisterAny>("virConnectDomainEventDeregisterAny")(connection, callback);
}
int virConnectDomainQemuMonitorEventRegister(virConnectPtr connection, virDomainPtr domain, const char* event,
                                             virConnectDomainQemuMonitorEventCallback callback, void* data,
                                             virFreeCallback release, unsigned flags) {
  return real<&virConnectDomainQemuMonitorEventRegister>("virConnectDomainQemuMonitorEventRegister")(
      connection, domain, event, callback, data, release, flags);
}
int virConnectDomainQemuMonitorEventDeregister(virConnectPtr connection, int callback) {
  return real<&virConnectDomainQemuMonitorEventDeregister>("virConnectDomainQemuMonitorEventDeregister")(connection,
                                                                                                         callback);
}

}  // extern "C"
