#pragma once
/// The root directory of a libvirt that runs inside our process.
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace sprite::vm {

/// Makes `root` ready and gives the URI that opens a driver there, under the name `short_name` (made a link to it)
/// unless that is empty; what is noted of running machines then lies beside it. Errors: invalid (the name is too long
/// for QEMU's sockets below it), unavailable (as root: no user libvirt-qemu), as system_error.
Result<std::string> prepare_embedded(const Path& root, const Path& short_name = {});

/// Where it is tried how guests reach the network.
Path network_trial(const Path& root);

/// Ends the QEMUs that an embedded libvirt asks what they can do, and the helper of network_trial(). They are daemons
/// of their own, which nobody ends when we do meanwhile; killed, the one that asks has its answer.
void end_probes(const Path& root);
/// As end_probes(), and removes the folders of those that nobody waits for. Not while libvirt asks.
void remove_probes(const Path& root);

/// Ends machines in whose start or end an earlier process was killed, and removes what libvirt noted of them. libvirt
/// asks such a QEMU to end by itself, which it cannot before its disk is served, and waits 10 s for each of them while
/// nobody may ask it anything; of one that was hardly begun it forgets nothing. Before libvirt is opened.
void clear_unfinished(const Path& root);

/// Text of the first element of that name: element_text("<a><b>x</b></a>", "b") is "x"; empty if there is none.
std::string element_text(std::string_view xml, std::string_view name);

}  // namespace sprite::vm
