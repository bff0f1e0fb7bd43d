// The functions of libvirt that we call, each of which passes the call on to the loaded library. So the rest of vm/
// uses libvirt's own headers and names. One more function is one more line here; without it the program does not link.
#include "vm/libvirt_library.h"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "base/loaded_library.h"

namespace sprite::vm {
namespace {

/// It brings libvirt.so.0 with it, and a search in it finds the functions of both. All that we use has been there since
/// libvirt 1.2.7 (2014).
LoadedLibrary library("libvirt", "libvirt-qemu.so.0");

}  // namespace

Result<> load_libvirt() {
  static const auto failure = library.load();
  if (!failure) return {};
  return Error{Error::Kind::unavailable,
               "libvirt is not installed",
               "run `make deps`, or `apt install libvirt0 libvirt-daemon-driver-qemu`",
               {*failure}};
}

}  // namespace sprite::vm

extern "C" {

using sprite::vm::library;

int virInitialize() { return library.real<&virInitialize>("virInitialize")(); }
virErrorPtr virGetLastError() { return library.real<&virGetLastError>("virGetLastError")(); }
void virSetErrorFunc(void* data, virErrorFunc handler) {
  library.real<&virSetErrorFunc>("virSetErrorFunc")(data, handler);
}

// Connections.

virConnectPtr virConnectOpen(const char* name) { return library.real<&virConnectOpen>("virConnectOpen")(name); }
int virConnectClose(virConnectPtr connection) { return library.real<&virConnectClose>("virConnectClose")(connection); }
int virConnectGetVersion(virConnectPtr connection, unsigned long* version) {
  return library.real<&virConnectGetVersion>("virConnectGetVersion")(connection, version);
}
int virConnectGetLibVersion(virConnectPtr connection, unsigned long* version) {
  return library.real<&virConnectGetLibVersion>("virConnectGetLibVersion")(connection, version);
}
char* virConnectGetDomainCapabilities(virConnectPtr connection, const char* emulator, const char* architecture,
                                      const char* machine, const char* type, unsigned flags) {
  return library.real<&virConnectGetDomainCapabilities>("virConnectGetDomainCapabilities")(
      connection, emulator, architecture, machine, type, flags);
}

// Domains.

virDomainPtr virDomainCreateXML(virConnectPtr connection, const char* xml, unsigned flags) {
  return library.real<&virDomainCreateXML>("virDomainCreateXML")(connection, xml, flags);
}
virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char* uuid) {
  return library.real<&virDomainLookupByUUIDString>("virDomainLookupByUUIDString")(connection, uuid);
}
int virDomainFree(virDomainPtr domain) { return library.real<&virDomainFree>("virDomainFree")(domain); }
int virDomainDestroy(virDomainPtr domain) { return library.real<&virDomainDestroy>("virDomainDestroy")(domain); }
int virDomainSuspend(virDomainPtr domain) { return library.real<&virDomainSuspend>("virDomainSuspend")(domain); }
int virDomainResume(virDomainPtr domain) { return library.real<&virDomainResume>("virDomainResume")(domain); }
int virDomainIsActive(virDomainPtr domain) { return library.real<&virDomainIsActive>("virDomainIsActive")(domain); }
int virDomainGetState(virDomainPtr domain, int* state, int* reason, unsigned flags) {
  return library.real<&virDomainGetState>("virDomainGetState")(domain, state, reason, flags);
}
int virDomainGetUUIDString(virDomainPtr domain, char* text) {
  return library.real<&virDomainGetUUIDString>("virDomainGetUUIDString")(domain, text);
}

int virDomainQemuMonitorCommand(virDomainPtr domain, const char* command, char** answer, unsigned flags) {
  return library.real<&virDomainQemuMonitorCommand>("virDomainQemuMonitorCommand")(domain, command, answer, flags);
}

// Events.

int virEventRegisterDefaultImpl() {
  return library.real<&virEventRegisterDefaultImpl>("virEventRegisterDefaultImpl")();
}
int virEventRunDefaultImpl() { return library.real<&virEventRunDefaultImpl>("virEventRunDefaultImpl")(); }
int virEventAddTimeout(int frequency, virEventTimeoutCallback callback, void* data, virFreeCallback release) {
  return library.real<&virEventAddTimeout>("virEventAddTimeout")(frequency, callback, data, release);
}
void virEventUpdateTimeout(int timer, int frequency) {
  library.real<&virEventUpdateTimeout>("virEventUpdateTimeout")(timer, frequency);
}
int virEventRemoveTimeout(int timer) { return library.real<&virEventRemoveTimeout>("virEventRemoveTimeout")(timer); }
int virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain, int event,
                                     virConnectDomainEventGenericCallback callback, void* data,
                                     virFreeCallback release) {
  return library.real<&virConnectDomainEventRegisterAny>("virConnectDomainEventRegisterAny")(connection, domain, event,
                                                                                             callback, data, release);
}
int virConnectDomainEventDeregisterAny(virConnectPtr connection, int callback) {
  return library.real<&virConnectDomainEventDeregisterAny>("virConnectDomainEventDeregisterAny")(connection, callback);
}
int virConnectDomainQemuMonitorEventRegister(virConnectPtr connection, virDomainPtr domain, const char* event,
                                             virConnectDomainQemuMonitorEventCallback callback, void* data,
                                             virFreeCallback release, unsigned flags) {
  return library.real<&virConnectDomainQemuMonitorEventRegister>("virConnectDomainQemuMonitorEventRegister")(
      connection, domain, event, callback, data, release, flags);
}
int virConnectDomainQemuMonitorEventDeregister(virConnectPtr connection, int callback) {
  return library.real<&virConnectDomainQemuMonitorEventDeregister>("virConnectDomainQemuMonitorEventDeregister")(
      connection, callback);
}

}  // extern "C"
