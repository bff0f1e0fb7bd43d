#pragma once
/// Handshake: the server's half of fixed newstyle negotiation as a pure machine: bytes in, bytes out, no socket.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nbd/device.h"
#include "nbd/protocol.h"

namespace sprite::nbd {

/// The device of that export name; null if there is none.
using Finder = std::function<std::shared_ptr<Device>(const std::string& name)>;
/// Every export name, for clients that ask for a list.
using Names = std::function<std::vector<std::string>()>;

class Handshake {
 public:
  enum class State { client_flags, option_header, option_data, transmission, ended };

  Handshake(const Finder& find, const Names& names) : find_(find), names_(names) {}

  /// What the server sends first.
  static Bytes greeting();
  /// How many bytes take() needs next; at most option_bytes_max.
  std::size_t wants() const { return wants_; }
  /// Takes exactly wants() bytes; the answer is to be sent whatever the new state. Errors: invalid (close the
  /// connection).
  Result<Bytes> take(ByteView bytes);

  State state() const { return state_; }
  /// Meaningful in state transmission.
  const std::shared_ptr<Device>& device() const { return device_; }
  bool structured_replies() const { return structured_; }
  bool allocation_context_chosen() const { return structured_ && context_chosen_; }

 private:
  using Handler = Bytes (Handshake::*)(ByteView data);
  static Handler handler(std::uint32_t option);

  Result<Bytes> take_client_flags(ByteView bytes);
  Result<Bytes> take_option_header(ByteView bytes);
  Result<Bytes> finish_option(ByteView data);
  Result<Bytes> export_name(ByteView data);
  Bytes abort(ByteView data);
  Bytes list(ByteView data);
  Bytes info(ByteView data);
  Bytes go(ByteView data);
  Bytes structured_reply(ByteView data);
  Bytes list_meta_context(ByteView data);
  Bytes set_meta_context(ByteView data);

  /// What info and go share: the named device and its description, or an error reply.
  Bytes describe(ByteView data, std::shared_ptr<Device>& device, std::string& name);
  Bytes meta_context(ByteView data, bool set);
  Bytes reply(std::uint32_t type, ByteView data = {}) const;
  std::uint16_t transmission_flags(const Device& device) const;

  const Finder& find_;
  const Names& names_;
  State state_ = State::client_flags;
  std::size_t wants_ = 4;
  std::uint32_t option_ = 0;
  bool no_zeroes_ = false, structured_ = false, context_chosen_ = false;
  std::string context_export_;
  std::shared_ptr<Device> device_;
};

}  // namespace sprite::nbd
