// The store's decoders on bytes of any origin: map nodes, headers of block states, and runs of block states. The first
// byte chooses.
#include "input.h"
#include "store/block_states.h"
#include "store/map_node.h"
#include "store/states_file.h"

using namespace sprite;
using namespace sprite::store;
using fuzz::Input;
using fuzz::require;

namespace {

void node(Input input, bool mend) {
  const unsigned level = input.byte() % 3;
  const auto rest = input.rest();
  Bytes bytes(rest.begin(), rest.end());
  if (mend) {  // the length follows from the number of names
    bytes.resize(std::max<std::size_t>(bytes.size(), 16));
    const auto names = static_cast<std::uint16_t>(load_little<std::uint16_t>(bytes.data() + 8) % 5);
    bytes.resize(16 + names * sizeof(PackName) + Node::fanout * 16);
    store_little(bytes.data(), std::uint32_t{0x4d525053});
    store_little(bytes.data() + 4, std::uint16_t{1});
    store_little(bytes.data() + 6, static_cast<std::uint16_t>(level));
    store_little(bytes.data() + 8, names);
  }
  const PackName own{};
  const auto decoded = Node::decode(bytes, level, own);
  if (!decoded) return;
  for (const Entry& entry : decoded->entries)
    require(entry.pack < decoded->packs.size(), "an entry names a pack that there is");
  const auto again = Node::decode(decoded->encode(), level, own);
  require(again.has_value(), "what was decoded can be encoded");
  for (std::size_t i = 0; i < Node::fanout; ++i) {
    const Entry &a = decoded->entries[i], &b = again->entries[i];
    require(a.kind == b.kind, "entries keep their kind");
    if (a.kind != Entry::Kind::object) continue;
    require(decoded->pack_of(a) == again->pack_of(b) && a.place.offset == b.place.offset &&
                a.place.length == b.place.length,
            "objects keep their place");
  }
}

void header(Input input) {
  const auto decoded = StatesHeader::decode(input.rest());
  if (!decoded) return;
  const auto again = StatesHeader::decode(decoded->encode());
  require(again && *again == *decoded, "a header keeps what it says");
}

/// Runs must agree with looking at one block after the other.
void runs(Input input) {
  std::array<std::uint64_t, 4> words{};
  BlockStates states(words);
  constexpr std::uint64_t blocks = words.size() * BlockStates::blocks_per_word;
  std::array<BlockState, blocks> model{};
  while (!input.empty()) {
    const std::uint64_t first = input.byte() % blocks, count = input.byte() % (blocks - first) + 1;
    const auto state = static_cast<BlockState>(input.byte() % 3);
    states.set(first, count, state);
    std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(first), count, state);
  }
  for (std::uint64_t first = 0; first < blocks; ++first) {
    std::uint64_t count = 1;
    while (first + count < blocks && model[first + count] == model[first]) ++count;
    const Run run = states.run(first, blocks - first);
    require(run.state == model[first] && run.count == count, "a run is as long as its state lasts");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  switch (input.byte() % 4) {
    case 0: node(input, false); break;
    case 1: node(input, true); break;
    case 2: header(input); break;
    default: runs(input); break;
  }
  return 0;
}
