#include "sprite/disk_server.h"

#include "base/unix_socket.h"
#include "store/checkpoint_disk.h"

namespace sprite {

DiskServer::DiskServer(Made, std::uint64_t disk_bytes)
    : disk_(std::make_shared<nbd::LateDevice>(disk_bytes, nbd::Writable::yes)),
      checkpoints_(std::make_shared<nbd::LateDevice>(store::checkpoint_disk_bytes, nbd::Writable::no)) {}

Result<std::shared_ptr<DiskServer>> DiskServer::start(const Path& socket, std::uint64_t disk_bytes) {
  auto server = std::make_shared<DiskServer>(Made(), disk_bytes);
  TRY_LET(Fd listening, listen_unix(socket));
  auto find = [disk = server->disk_,
               checkpoints = server->checkpoints_](const std::string& name) -> std::shared_ptr<nbd::Device> {
    if (name == checkpoints_export) return checkpoints;
    return name == disk_export ? disk : nullptr;
  };
  TRY_LET(server->server_, nbd::Server::start(std::move(listening), std::move(find)));
  return server;
}

Result<> DiskServer::bind(std::shared_ptr<store::Volume> volume) {
  TRY(checkpoints_->bind({volume, &volume->checkpoint_disk()}));
  return disk_->bind(std::move(volume));
}

}  // namespace sprite
