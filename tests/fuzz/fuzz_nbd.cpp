// What an NBD client may send: the handshake machine on any bytes, and the request codec. The first byte chooses.
#include "input.h"
#include "nbd/handshake.h"

using namespace sprite;
using namespace sprite::nbd;
using fuzz::Input;
using fuzz::require;

namespace {

class NoDevice final : public Device {
 public:
  std::uint64_t size_bytes() const override { return GiB; }
  Result<> read(std::uint64_t, MutableByteView) override { return {}; }
  Result<> write(std::uint64_t, ByteView) override { return {}; }
  Result<> flush() override { return {}; }
  Result<> trim(std::uint64_t, std::uint64_t) override { return {}; }
  Result<> write_zeroes(std::uint64_t, std::uint64_t) override { return {}; }
  Result<std::vector<Extent>> block_status(std::uint64_t, std::uint64_t, std::size_t) override {
    return std::vector<Extent>{};
  }
};

/// Every answer to an option is a whole number of replies to that very option.
void check_answer(const Bytes& answer, std::uint32_t option) {
  Reader reader(answer);
  while (!reader.complete()) {
    require(reader.integer<std::uint64_t>() == option_reply_magic, "a reply has its magic number");
    require(reader.integer<std::uint32_t>() == option, "a reply answers the option asked");
    reader.integer<std::uint32_t>();
    reader.counted_text();
    require(reader.ok(), "a reply is as long as it says");
  }
}

/// `mend`: magic numbers are put right and lengths made small, so that the fuzzer gets beyond them.
void handshake(Input input, bool mend) {
  const Finder find = [](const std::string& name) { return name == "disk" ? std::make_shared<NoDevice>() : nullptr; };
  const Names names = [] { return std::vector<std::string>{"disk", ""}; };
  Handshake machine(find, names);
  std::uint32_t option = 0;
  while (!input.empty() && machine.state() < Handshake::State::transmission) {
    require(machine.wants() > 0 && machine.wants() <= option_bytes_max, "it wants something, and not too much");
    Bytes bytes(machine.wants());
    std::ranges::copy(input.bytes(bytes.size()), bytes.begin());
    const auto before = machine.state();
    if (mend && before == Handshake::State::client_flags) std::ranges::fill(std::span(bytes).first(3), std::byte{0});
    if (mend && before == Handshake::State::option_header) {
      store_big(bytes.data(), option_magic);
      store_big(bytes.data() + 8, load_big<std::uint32_t>(bytes.data() + 8) % 16);
      store_big(bytes.data() + 12, load_big<std::uint32_t>(bytes.data() + 12) % 64);
    }
    if (before == Handshake::State::option_header) option = load_big<std::uint32_t>(bytes.data() + 8);
    const auto answer = machine.take(bytes);
    if (!answer) return;
    if (before != Handshake::State::client_flags && option != option::export_name) check_answer(*answer, option);
  }
  if (machine.state() == Handshake::State::transmission)
    require(machine.device() != nullptr, "transmission has a device");
}

void request(Input input) {
  std::array<std::byte, Request::wire_bytes> bytes{};
  std::ranges::copy(input.bytes(bytes.size()), bytes.begin());
  store_big(bytes.data(), request_magic);
  const auto parsed = parse_request(bytes);
  require(parsed.has_value(), "a request with its magic number is one");
  const std::uint64_t size = input.number<std::uint64_t>();
  if (check_request(*parsed, size) != Errno::none || parsed->command == command::flush) return;
  require(parsed->offset <= size && size - parsed->offset >= parsed->length, "what is let through lies in the device");
  require(parsed->command != command::read || parsed->length <= payload_bytes_max, "and is not too long");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  switch (input.byte() % 3) {
    case 0: handshake(input, false); break;
    case 1: handshake(input, true); break;
    default: request(input); break;
  }
  return 0;
}
