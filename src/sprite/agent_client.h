#pragma once
/// Calls of the daemon to the agent (ARCHITECTURE.md, section 7), each over a channel stream of its own.
#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "base/result.h"
#include "base/stream.h"
#include "wire/types.h"

namespace sprite::agent_client {

/// Gives the machine its identity, clock and entropy; returns when programs may run in it. Safe to repeat.
/// Errors: those the agent answered; unavailable (no answer within `limit`).
boost::asio::awaitable<Result<>> configure(Stream stream, wire::Configure identity, std::chrono::milliseconds limit);
/// Runs a program until it ends, without input; its output and how it ended are of no interest. Errors: unavailable.
boost::asio::awaitable<Result<>> run_program(Stream stream, std::vector<std::string> words,
                                             std::chrono::milliseconds limit);
/// Errors: unavailable.
boost::asio::awaitable<Result<wire::AgentStatus>> status(Stream stream, std::chrono::milliseconds limit);
/// When the machine was last in use from inside, and the timers that programs have set, of which those less than `near`
/// away are near; none are looked for without it. Errors: unavailable; not_found (an agent that cannot tell).
boost::asio::awaitable<Result<wire::Activity>> activity(Stream stream, std::optional<std::chrono::milliseconds> near,
                                                        std::chrono::milliseconds limit);
/// Ends programs, unmounts, and has the power go off soon after the answer. Errors: unavailable.
boost::asio::awaitable<Result<>> shutdown(Stream stream, std::chrono::milliseconds limit);
/// The guest writes what it has to its disk, and nothing more until thaw(), or for 5 s. Errors: unavailable.
boost::asio::awaitable<Result<>> freeze(Stream stream, std::chrono::milliseconds limit);
/// These checkpoints are to be seen inside. Errors: unavailable.
boost::asio::awaitable<Result<>> show_checkpoints(Stream stream, std::vector<wire::ShownCheckpoint> checkpoints,
                                                  std::chrono::milliseconds limit);
boost::asio::awaitable<Result<>> thaw(Stream stream, std::chrono::milliseconds limit);
/// Programs stand still, what they wrote is on the disk: the machine may sleep. Errors: unavailable (they may go on).
boost::asio::awaitable<Result<>> hold(Stream stream, std::chrono::milliseconds limit);
/// The clock is set to this host's, then programs go on. Errors: unavailable.
boost::asio::awaitable<Result<>> go_on(Stream stream, std::chrono::milliseconds limit);
/// Ends every program and unmounts the disk, which may be exchanged until start_container(). Errors: unavailable (then
/// the disk may still be in use).
boost::asio::awaitable<Result<>> stop_container(Stream stream, std::chrono::milliseconds limit);
/// Checks the filesystem of the disk that the guest gave away. Errors: unavailable.
boost::asio::awaitable<Result<wire::DiskCheck>> check_disk(Stream stream, std::chrono::milliseconds limit);
/// Returns when programs may run again. Errors: unavailable.
boost::asio::awaitable<Result<>> start_container(Stream stream, std::chrono::milliseconds limit);

}  // namespace sprite::agent_client
