#include "store/top_layer.h"

#include <sys/stat.h>
#include <unistd.h>

namespace sprite::store {
namespace {

constexpr std::size_t header_words = StatesHeader::wire_bytes / sizeof(std::uint64_t);

/// The twin that a process of this boot left, or nothing: then it is to be made from the durable states. A twin that
/// does not go with the durable file is of an earlier time, when another runtime directory was in use.
Result<std::optional<Fd>> find_twin(const Path& path, const StatesHeader& expected) {
  auto found = open_states_file(path, expected.layer, expected.size_bytes);
  if (found && found->header == expected) return std::optional<Fd>(std::move(found->file));
  if (found) return std::optional<Fd>{};
  const auto kind = found.error().kind;
  if (kind == Error::Kind::not_found || kind == Error::Kind::corrupt || kind == Error::Kind::invalid)
    return std::optional<Fd>{};
  return std::move(found).error();
}

/// A new twin with the durable states. It gets its name when it is complete.
Result<Fd> make_twin(const Path& path, const StatesHeader& header, const StatesFile& durable) {
  const Path unfinished = path.string() + ".new";
  ::unlink(unfinished.c_str());
  TRY_LET(Fd twin, create_states_file(unfinished, header));
  TRY_LET(const Mapping states, Mapping::anonymous(states_bytes(header.size_bytes)));
  TRY(load_states(durable, states.words()));
  const auto words = states.words();
  constexpr std::size_t step = 4 * KiB / sizeof(std::uint64_t);
  for (std::size_t at = 0; at < words.size(); at += step) {
    const auto part = words.subspan(at, step);
    if (std::ranges::all_of(part, [](std::uint64_t word) { return word == 0; })) continue;
    TRY(pwrite_all(twin.get(), std::as_bytes(part), StatesHeader::wire_bytes + at * sizeof(std::uint64_t)));
  }
  if (::rename(unfinished.c_str(), path.c_str()) != 0) return system_error("cannot name '" + path.string() + "'");
  return twin;
}

}  // namespace

Result<Fd> TopLayer::create(const LayerFiles& files) {
  TRY_LET(const Fd image, open_file(files.image(), O_RDWR | O_CREAT | O_EXCL));
  if (::ftruncate(image.get(), static_cast<off_t>(files.volume_bytes)) != 0)
    return system_error("cannot size '" + files.image().string() + "'");
  return create_states_file(files.states(), {files.id, files.volume_bytes, {}, {}});
}

Result<std::unique_ptr<TopLayer>> TopLayer::open(const LayerFiles& files, const Path& runtime_directory) {
  TRY_LET(Fd image, open_file(files.image(), O_RDWR));
  TRY_LET(StatesFile durable, open_states_file(files.states(), files.id, files.volume_bytes));
  StatesHeader twin_header = durable.header;
  TRY_LET(twin_header.boot, boot_id());
  Path twin_path = runtime_directory / files.states().filename();
  TRY_LET(std::optional<Fd> twin, find_twin(twin_path, twin_header));
  const bool found = twin.has_value();
  if (!found) {
    std::ranges::copy(random_bytes(sizeof(LayerId)), twin_header.instance.begin());
    TRY_LET(twin, make_twin(twin_path, twin_header, durable));
    durable.header.instance = twin_header.instance;
    TRY(write_states_header(durable));
  }
  const std::size_t bytes = StatesHeader::wire_bytes + states_bytes(files.volume_bytes);
  TRY_LET(Mapping mapping, Mapping::shared(twin->get(), 0, bytes));
  std::unique_ptr<TopLayer> layer(new TopLayer(files.number, std::move(image), std::move(durable), std::move(twin_path),
                                               *std::move(twin), std::move(mapping)));
  TRY(layer->mark_changes_since_flush());
  // States that a killed process wrote and did not sync look durable to us and are not. The header need not be: a twin
  // goes only with what this boot of the host reads.
  if ((found || !layer->is_empty()) && ::fdatasync(layer->states_file_.file.get()) != 0)
    return system_error("cannot make '" + layer->states_file_.path.string() + "' durable");
  return layer;
}

TopLayer::TopLayer(std::int64_t number, Fd image, StatesFile states_file, Path twin_path, Fd twin, Mapping mapping)
    : number_(number),
      image_(std::move(image)),
      states_file_(std::move(states_file)),
      twin_path_(std::move(twin_path)),
      twin_(std::move(twin)),
      mapping_(std::move(mapping)),
      states_(mapping_.words().subspan(header_words)),
      pages_(states_.words().size_bytes() / page_bytes) {}

/// Finds out which states a killed process had not yet made durable, and what it had zeroed. The twin is read from its
/// file, since in memory a look at a hole would fill it.
Result<> TopLayer::mark_changes_since_flush() {
  TRY_LET(const Mapping durable, Mapping::anonymous(states_.words().size_bytes()));
  TRY(load_states(states_file_, durable.words()));
  constexpr std::size_t page_words = page_bytes / sizeof(std::uint64_t);
  std::array<std::uint64_t, page_words> now{};
  for (std::size_t page = 0; page < pages_.size(); ++page) {
    TRY(pread_exactly(twin_.get(), std::as_writable_bytes(std::span(now)),
                      StatesHeader::wire_bytes + page * page_bytes));
    const auto saved = durable.words().subspan(page * page_words, page_words);
    pages_[page].changed = !std::ranges::equal(now, saved);
    pages_[page].used = std::ranges::any_of(now, [](std::uint64_t word) { return word != 0; });
    for (const std::uint64_t word : now) hidden_blocks_ += static_cast<unsigned>(std::popcount(zeros_in(word)));
  }
  return {};
}

TopLayer::Stripes::Stripes(TopLayer& layer, std::uint64_t first, std::uint64_t count) : layer_(layer) {
  const std::uint64_t begin = first / stripe_blocks, end = (first + count - 1) / stripe_blocks;
  if (end - begin >= stripe_count) taken_ = ~std::uint64_t{0};
  for (std::uint64_t stripe = begin; stripe <= end && taken_ != ~std::uint64_t{0}; ++stripe)
    taken_ |= std::uint64_t{1} << (stripe % stripe_count);
  for (std::size_t i = 0; i < stripe_count; ++i)
    if ((taken_ >> i & 1) != 0) layer_.stripes_[i].lock();
}

TopLayer::Stripes::~Stripes() {
  for (std::size_t i = 0; i < stripe_count; ++i)
    if ((taken_ >> i & 1) != 0) layer_.stripes_[i].unlock();
}

/// Makes sure that the twin has memory for the states of these blocks, since touching a mapping without it kills us.
Result<> TopLayer::back(std::uint64_t first, std::uint64_t count) {
  for (std::size_t page = first / page_blocks; page <= (first + count - 1) / page_blocks; ++page) {
    if (pages_[page].backed) continue;
    const auto at = static_cast<off_t>(StatesHeader::wire_bytes + page * page_bytes);
    if (::fallocate(twin_.get(), 0, at, page_bytes) != 0 && errno != EOPNOTSUPP)
      return system_error("cannot keep block states in '" + twin_path_.string() + "'");
    pages_[page].backed = true;
  }
  return {};
}

void TopLayer::change(std::uint64_t first, std::uint64_t count, BlockState state) {
  states_.set(first, count, state);
  for (std::size_t page = first / page_blocks; page <= (first + count - 1) / page_blocks; ++page)
    pages_[page].changed = pages_[page].used = true;
  unflushed_ = true;
}

Result<> TopLayer::overwrite(std::uint64_t offset, ByteView data) {
  auto written = pwrite_all(image_.get(), data, offset);
  unflushed_ = true;
  return written;
}

Result<> TopLayer::write(std::uint64_t first, ByteView data) {
  const std::uint64_t count = data.size() / block_bytes;
  TRY(back(first, count));
  TRY(pwrite_all(image_.get(), data, first * block_bytes));
  change(first, count, BlockState::data);
  return {};
}

Result<> TopLayer::zero(std::uint64_t first, std::uint64_t count) {
  TRY(back(first, count));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> stored;
  for (std::uint64_t done = 0; done < count;) {
    const Run run = states_.run(first + done, count - done);
    if (run.state == BlockState::data) stored.emplace_back(first + done, run.count);
    if (run.state == BlockState::absent) hidden_blocks_ += run.count;
    done += run.count;
  }
  change(first, count, BlockState::zero);
  for (const auto& [at, length] : stored) TRY(punch(image_.get(), at, length));
  return {};
}

Result<> TopLayer::flush() {
  std::unique_lock hold(flushing_);
  const std::uint64_t ours = flushes_begun_ + 1;  // one that is already running may have missed our writes
  while (flushes_done_ < ours) {
    if (flush_running_) {
      flushed_.wait(hold);
      continue;
    }
    flush_running_ = true;
    const std::uint64_t round = ++flushes_begun_;
    hold.unlock();
    auto result = flush_once();
    hold.lock();
    flush_running_ = false;
    flushes_done_ = round;
    last_flush_ = std::move(result);
    flushed_.notify_all();
  }
  return last_flush_;
}

Result<> TopLayer::flush_once() {
  if (flush_refused_) return Error{Error::Kind::unavailable, "the host's disk failed earlier: what it lost is unknown"};
  if (!unflushed_.exchange(false)) return {};
  std::vector<std::size_t> pages;
  Bytes copies;
  for (std::size_t page = 0; page < pages_.size(); ++page) {
    if (!pages_[page].changed.load(std::memory_order_relaxed) || !pages_[page].changed.exchange(false)) continue;
    pages.push_back(page);
    copies.resize(copies.size() + page_bytes);
    copy_page(page, copies.data() + copies.size() - page_bytes);
  }
  if (::fdatasync(image_.get()) != 0) {
    flush_refused_ = true;
    return system_error("the host's disk refused a flush");
  }
  if (pages.empty()) return {};
  auto saved = save_states(pages, copies);
  if (!saved) {
    for (const std::size_t page : pages) pages_[page].changed = true;
    unflushed_ = true;
  }
  return saved;
}

void TopLayer::copy_page(std::size_t page, std::byte* to) const {
  const auto words =
      states_.words().subspan(page * page_bytes / sizeof(std::uint64_t), page_bytes / sizeof(std::uint64_t));
  for (std::uint64_t& word : words) {
    store_little(to, std::atomic_ref(word).load(std::memory_order_acquire));
    to += sizeof word;
  }
}

Result<> TopLayer::save_states(const std::vector<std::size_t>& pages, const Bytes& copies) {
  for (std::size_t i = 0; i < pages.size();) {
    std::size_t end = i + 1;
    while (end < pages.size() && pages[end] == pages[end - 1] + 1) ++end;
    TRY(pwrite_all(states_file_.file.get(), ByteView(copies).subspan(i * page_bytes, (end - i) * page_bytes),
                   StatesHeader::wire_bytes + pages[i] * page_bytes));
    i = end;
  }
  if (::fdatasync(states_file_.file.get()) != 0) {
    flush_refused_ = true;
    return system_error("the host's disk refused a flush");
  }
  return {};
}

void TopLayer::forget_twin() { ::unlink(twin_path_.c_str()); }

Result<Mapping> TopLayer::states_copy() const {
  TRY_LET(Mapping mapping, Mapping::anonymous(states_.words().size_bytes()));
  for (std::size_t page = 0; page < pages_.size(); ++page)
    if (pages_[page].used) copy_page(page, std::as_writable_bytes(mapping.words()).data() + page * page_bytes);
  return mapping;
}

std::shared_ptr<Layer> TopLayer::freeze(Mapping states_copy) && {
  forget_twin();
  const BlockStates states(states_copy.words());
  return std::make_shared<Layer>(number_, std::move(image_), std::move(states_copy), states);
}

}  // namespace sprite::store
