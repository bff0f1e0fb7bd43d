// Serves a volume (made if need be) over NBD until SIGTERM: nbd_serve SOCKET DIRECTORY RUNTIME_DIRECTORY IMAGE
// SIZE_BYTES [upkeep]. Its packs are in $PACKS, or in DIRECTORY. At each SIGUSR1 the volume is cut, and "cut" printed;
// at each SIGUSR2 "layers N unsealed BYTES" is. With `upkeep` it is also cut, sealed and folded as in the daemon; else
// the chain is only kept short.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "nbd/server.h"
#include "store/volume.h"

using namespace sprite;

namespace {

Result<Fd> listen_at(const Path& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path)
    return Error{Error::Kind::invalid, "the socket's path is too long"};
  std::strcpy(address.sun_path, path.c_str());
  ::unlink(path.c_str());
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), 64) != 0)
    return system_error("cannot listen at '" + path.string() + "'");
  return socket;
}

void say(const char* line) {
  std::puts(line);
  std::fflush(stdout);
}

Result<> cut(store::Volume& volume, bool upkeep) {
  TRY(volume.cut());
  bool folded = !upkeep;
  while (folded) {
    TRY_LET(folded, volume.fold(store::UpkeepPolicy{}.layers_max));
  }
  return {};
}

Result<> serve(char** arguments, bool upkeep) {
  const Path socket_path = arguments[1], directory = arguments[2], runtime = arguments[3], image = arguments[4];
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::sigaddset(&ends, SIGUSR1);
  ::sigaddset(&ends, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  TRY(make_directories(directory));
  TRY(make_directories(runtime));
  if (::access((directory / "volume.db").c_str(), F_OK) != 0)
    TRY(store::Volume::create(directory, image, std::strtoull(arguments[5], nullptr, 10)));
  const char* const packs = std::getenv("PACKS");
  const auto store = std::make_shared<store::PackStore>(packs ? Path(packs) : directory / "packs");
  TRY_LET(const auto volume, store::Volume::open(directory, runtime, store));
  TRY_LET(Fd socket, listen_at(socket_path));
  TRY_LET(const auto server, nbd::Server::start(
                                 std::move(socket),
                                 [volume](const std::string& name) -> std::shared_ptr<nbd::Device> {
                                   return name.empty() || name == "disk" ? volume : nullptr;
                                 },
                                 [] { return std::vector<std::string>{"disk"}; }));
  say("ready");
  if (upkeep) volume->start_upkeep({});
  int signal = 0;
  while (::sigwait(&ends, &signal) == 0 && (signal == SIGUSR1 || signal == SIGUSR2)) {
    if (signal == SIGUSR1) {
      TRY(cut(*volume, upkeep));
      say("cut");
    } else {
      TRY_LET(const store::Usage usage, volume->usage());
      say(("layers " + std::to_string(usage.layers) + " unsealed " + std::to_string(usage.unsealed_bytes)).c_str());
    }
  }
  server->stop();
  return volume->close();
}

}  // namespace

int main(int count, char** arguments) {
  const bool upkeep = count == 7 && std::strcmp(arguments[6], "upkeep") == 0;
  if (count != 6 && !upkeep) {
    std::fputs("usage: nbd_serve SOCKET DIRECTORY RUNTIME_DIRECTORY IMAGE SIZE_BYTES [upkeep]\n", stderr);
    return 2;
  }
  const auto served = serve(arguments, upkeep);
  if (!served) std::fputs(to_text(served.error()).c_str(), stderr);
  return served ? 0 : 1;
}
