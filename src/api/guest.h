#pragma once
/// What a guest may ask of the daemon over its channel: about its own checkpoints, nothing else. Which sprite asks is
/// known by the channel, not by what it says.
#include <map>
#include <memory>
#include <string>

#include "http/server.h"
#include "sprite/sprites.h"

namespace sprite::api {

class GuestApi {
 public:
  /// Serves the guests of `sprites`, which must outlive this.
  GuestApi(asio::any_io_executor executor, Sprites& sprites);
  ~GuestApi();
  GuestApi(const GuestApi&) = delete;

 private:
  struct Guest;
  void serve(const std::string& name, Stream stream);

  asio::any_io_executor executor_;
  Sprites& sprites_;
  std::map<std::string, std::unique_ptr<Guest>>
      guests_;  ///< by name; they stay, since a connection may outlive its sprite
};

}  // namespace sprite::api
