#pragma once
/// What a guest may ask of the daemon over its channel: about its own checkpoints, nothing else. Which sprite asks is
/// known by the channel, not by what it says.
///
/// A guest may be anybody's program: it has few connections, small requests, little time, and one request at a time is
/// worked on, so that it holds up itself and nobody else.
#include <map>
#include <memory>
#include <string>

#include "http/server.h"
#include "sprite/sprites.h"

namespace sprite::api {

/// What one guest gets.
http::Limits guest_limits();

class GuestApi {
 public:
  /// Serves the guests of `sprites`, which must outlive this.
  GuestApi(asio::any_io_executor executor, Sprites& sprites, http::Limits limits = guest_limits());
  ~GuestApi();
  GuestApi(const GuestApi&) = delete;

  /// Connections that guests hold.
  std::size_t connections() const;

 private:
  struct Guest;
  void serve(const std::string& name, Stream stream);

  asio::any_io_executor executor_;
  Sprites& sprites_;
  http::Limits limits_;
  std::map<std::string, std::unique_ptr<Guest>>
      guests_;  ///< by name; they stay, since a connection may outlive its sprite
};

}  // namespace sprite::api
