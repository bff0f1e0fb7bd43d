#pragma once
/// Requests whose answer is lines of wire::Progress.
#include "cli/context.h"
#include "wire/types.h"

namespace sprite::cli {

/// Posts to `route` of a sprite, and gives the last line of the answer. Warnings are noted; other lines on the way go
/// to `on_info`, or are shown as progress without it. Errors: as Client::stream(), and the one that the lines end with.
Result<wire::Progress> follow_progress(Context& context, const std::string& name, const std::string& route,
                                       std::string body = "",
                                       const std::function<void(const std::string&)>& on_info = {});

}  // namespace sprite::cli
