#include "nbd/handshake.h"

namespace sprite::nbd {
namespace {

Error out_of_step(std::string what) { return Error{Error::Kind::invalid, std::move(what)}; }

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// Whether a client's query asks for the allocation context; a list may also ask for a whole namespace.
bool matches_allocation(std::string_view query, bool set) {
  return query == allocation_context || (!set && query == "base:");
}

}  // namespace

Bytes Handshake::greeting() {
  return Writer()
      .integer(server_magic)
      .integer(option_magic)
      .integer(static_cast<std::uint16_t>(handshake_flag::fixed_newstyle | handshake_flag::no_zeroes))
      .take();
}

Result<Bytes> Handshake::take(ByteView bytes) {
  switch (state_) {
    case State::client_flags: return take_client_flags(bytes);
    case State::option_header: return take_option_header(bytes);
    case State::option_data: return finish_option(bytes);
    default: return out_of_step("the NBD handshake is over");
  }
}

Result<Bytes> Handshake::take_client_flags(ByteView bytes) {
  const auto flags = Reader(bytes).integer<std::uint32_t>();
  constexpr std::uint32_t known = handshake_flag::fixed_newstyle | handshake_flag::no_zeroes;
  if ((flags & ~known) != 0 || (flags & handshake_flag::fixed_newstyle) == 0)
    return out_of_step("an NBD client does not speak fixed newstyle");
  no_zeroes_ = (flags & handshake_flag::no_zeroes) != 0;
  state_ = State::option_header;
  wants_ = 16;
  return Bytes{};
}

Result<Bytes> Handshake::take_option_header(ByteView bytes) {
  Reader reader(bytes);
  if (reader.integer<std::uint64_t>() != option_magic) return out_of_step("an NBD option lacks its magic number");
  option_ = reader.integer<std::uint32_t>();
  const auto length = reader.integer<std::uint32_t>();
  if (length > option_bytes_max) return out_of_step("an NBD option is too long");
  if (length == 0) return finish_option({});
  state_ = State::option_data;
  wants_ = length;
  return Bytes{};
}

Handshake::Handler Handshake::handler(std::uint32_t option) {
  switch (option) {
    case option::abort: return &Handshake::abort;
    case option::list: return &Handshake::list;
    case option::info: return &Handshake::info;
    case option::go: return &Handshake::go;
    case option::structured_reply: return &Handshake::structured_reply;
    case option::list_meta_context: return &Handshake::list_meta_context;
    case option::set_meta_context: return &Handshake::set_meta_context;
    default: return nullptr;
  }
}

Result<Bytes> Handshake::finish_option(ByteView data) {
  state_ = State::option_header;
  wants_ = 16;
  if (option_ == option::export_name) return export_name(data);
  const Handler handle = handler(option_);
  return handle ? (this->*handle)(data) : reply(option_reply::unsupported);
}

// The oldest way in: it has no error reply, an unknown name just ends the connection.
Result<Bytes> Handshake::export_name(ByteView data) {
  const std::string name(as_text(data));
  device_ = name.size() <= name_bytes_max ? find_(name) : nullptr;
  if (!device_) return out_of_step("an NBD client asks for an unknown export");
  context_chosen_ = context_chosen_ && context_export_ == name;
  state_ = State::transmission;
  Writer answer;
  answer.integer(device_->size_bytes()).integer(transmission_flags(*device_));
  if (!no_zeroes_) answer.raw(Bytes(124));
  return answer.take();
}

Bytes Handshake::abort(ByteView) {
  state_ = State::ended;
  return reply(option_reply::ack);
}

Bytes Handshake::list(ByteView data) {
  if (!data.empty()) return reply(option_reply::invalid);
  if (!names_) return reply(option_reply::policy);
  Bytes answer;
  for (const std::string& name : names_()) {
    const auto length = static_cast<std::uint32_t>(name.size());
    answer = joined(std::move(answer), reply(option_reply::server, Writer().integer(length).text(name).take()));
  }
  return joined(std::move(answer), reply(option_reply::ack));
}

Bytes Handshake::describe(ByteView data, std::shared_ptr<Device>& device, std::string& name) {
  Reader reader(data);
  name = reader.counted_text();
  const auto count = reader.integer<std::uint16_t>();
  bool wants_name = false;
  for (unsigned i = 0; i < count; ++i) wants_name |= reader.integer<std::uint16_t>() == info_type::name;
  if (!reader.complete() || name.size() > name_bytes_max) return reply(option_reply::invalid);
  device = find_(name);
  if (!device) return reply(option_reply::unknown);
  Bytes answer = reply(option_reply::info, Writer()
                                               .integer(info_type::export_size)
                                               .integer(device->size_bytes())
                                               .integer(transmission_flags(*device))
                                               .take());
  if (wants_name) {
    answer = joined(std::move(answer), reply(option_reply::info, Writer().integer(info_type::name).text(name).take()));
  }
  const Bytes sizes = Writer()
                          .integer(info_type::block_size)
                          .integer(std::uint32_t{1})
                          .integer(std::uint32_t{4096})
                          .integer(payload_bytes_max)
                          .take();
  answer = joined(std::move(answer), reply(option_reply::info, sizes));
  return joined(std::move(answer), reply(option_reply::ack));
}

Bytes Handshake::info(ByteView data) {
  std::shared_ptr<Device> device;
  std::string name;
  return describe(data, device, name);
}

Bytes Handshake::go(ByteView data) {
  std::string name;
  Bytes answer = describe(data, device_, name);
  if (!device_) return answer;
  context_chosen_ = context_chosen_ && context_export_ == name;
  state_ = State::transmission;
  return answer;
}

Bytes Handshake::structured_reply(ByteView data) {
  if (!data.empty()) return reply(option_reply::invalid);
  structured_ = true;
  return reply(option_reply::ack);
}

Bytes Handshake::list_meta_context(ByteView data) { return meta_context(data, false); }
Bytes Handshake::set_meta_context(ByteView data) { return meta_context(data, true); }

Bytes Handshake::meta_context(ByteView data, bool set) {
  Reader reader(data);
  const std::string name(reader.counted_text());
  const auto count = reader.integer<std::uint32_t>();
  bool wanted = !set && count == 0;
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) wanted |= matches_allocation(reader.counted_text(), set);
  if (!reader.complete() || !structured_ || name.size() > name_bytes_max) return reply(option_reply::invalid);
  if (set) context_chosen_ = false;
  if (!find_(name)) return reply(option_reply::unknown);
  if (set) {
    context_chosen_ = wanted;
    context_export_ = name;
  }
  Bytes answer;
  if (wanted) {
    const std::uint32_t id = set ? allocation_context_id : 0;
    answer = reply(option_reply::meta_context, Writer().integer(id).text(allocation_context).take());
  }
  return joined(std::move(answer), reply(option_reply::ack));
}

Bytes Handshake::reply(std::uint32_t type, ByteView data) const {
  const auto length = static_cast<std::uint32_t>(data.size());
  return Writer().integer(option_reply_magic).integer(option_).integer(type).integer(length).raw(data).take();
}

std::uint16_t Handshake::transmission_flags(const Device& device) const {
  using namespace transmission_flag;
  constexpr std::uint16_t always = has_flags | send_flush | send_fua | can_multi_conn | send_cache;
  constexpr std::uint16_t for_writers = send_trim | send_write_zeroes | send_fast_zero;
  const std::uint16_t flags = always | (device.read_only() ? read_only : for_writers);
  return structured_ ? flags | send_df : flags;
}

}  // namespace sprite::nbd
