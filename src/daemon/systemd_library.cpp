// The functions of libsystemd that we call, each of which passes the call on to the loaded library, as those of libvirt
// do (vm/libvirt_library.cpp). One more function is one more line here; without it the program does not link.
#include "daemon/systemd_library.h"

#include <systemd/sd-bus.h>

#include <cstdarg>

#include "base/loaded_library.h"

namespace sprite::daemon {
namespace {

/// All that we use has been there since systemd 246 (2020).
LoadedLibrary library("libsystemd", "libsystemd.so.0");

}  // namespace

Result<> load_systemd() {
  static const auto failure = [] {
    auto failed = library.load();
    if (!failed && !library.has("sd_bus_call_method_asyncv")) failed = "libsystemd is older than 246";
    return failed;
  }();
  if (!failure) return {};
  return Error{Error::Kind::unavailable, "there is no systemd here", "", {*failure}};
}

}  // namespace sprite::daemon

extern "C" {

using sprite::daemon::library;

int sd_bus_open_system(sd_bus** bus) { return library.real<&sd_bus_open_system>("sd_bus_open_system")(bus); }
sd_bus* sd_bus_close_unref(sd_bus* bus) { return library.real<&sd_bus_close_unref>("sd_bus_close_unref")(bus); }
int sd_bus_get_fd(sd_bus* bus) { return library.real<&sd_bus_get_fd>("sd_bus_get_fd")(bus); }
int sd_bus_get_events(sd_bus* bus) { return library.real<&sd_bus_get_events>("sd_bus_get_events")(bus); }
int sd_bus_get_timeout(sd_bus* bus, uint64_t* until_us) {
  return library.real<&sd_bus_get_timeout>("sd_bus_get_timeout")(bus, until_us);
}
int sd_bus_process(sd_bus* bus, sd_bus_message** message) {
  return library.real<&sd_bus_process>("sd_bus_process")(bus, message);
}

int sd_bus_add_match_async(sd_bus* bus, sd_bus_slot** slot, const char* match, sd_bus_message_handler_t callback,
                           sd_bus_message_handler_t installed, void* data) {
  return library.real<&sd_bus_add_match_async>("sd_bus_add_match_async")(bus, slot, match, callback, installed, data);
}
int sd_bus_call_method_async(sd_bus* bus, sd_bus_slot** slot, const char* destination, const char* path,
                             const char* interface, const char* member, sd_bus_message_handler_t callback, void* data,
                             const char* types, ...) {
  va_list values;
  va_start(values, types);
  const int failed = library.real<&sd_bus_call_method_asyncv>("sd_bus_call_method_asyncv")(
      bus, slot, destination, path, interface, member, callback, data, types, values);
  va_end(values);
  return failed;
}

int sd_bus_message_read(sd_bus_message* message, const char* types, ...) {
  va_list values;
  va_start(values, types);
  const int read = library.real<&sd_bus_message_readv>("sd_bus_message_readv")(message, types, values);
  va_end(values);
  return read;
}
const char* sd_bus_message_get_sender(sd_bus_message* message) {
  return library.real<&sd_bus_message_get_sender>("sd_bus_message_get_sender")(message);
}
const sd_bus_error* sd_bus_message_get_error(sd_bus_message* message) {
  return library.real<&sd_bus_message_get_error>("sd_bus_message_get_error")(message);
}
int sd_bus_error_has_name(const sd_bus_error* error, const char* name) {
  return library.real<&sd_bus_error_has_name>("sd_bus_error_has_name")(error, name);
}

}  // extern "C"
