#include "channel/link.h"

#include "channel/core.h"

namespace sprite::channel {

Link::Link(asio::any_io_executor executor, Fd transport, Role role, Options options, Acceptor acceptor, Closed closed)
    : core_(std::make_shared<Core>(std::move(executor), role, options, std::move(acceptor), std::move(closed))) {
  core_->start(std::move(transport));
}

Link::~Link() { core_->shut(); }

asio::awaitable<Result<>> Link::ready(std::chrono::milliseconds limit) { return Core::ready(core_, limit); }

Result<Stream> Link::open() { return core_->open(); }

void Link::close() { core_->shut(); }

}  // namespace sprite::channel
