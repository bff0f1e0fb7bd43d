#pragma once
/// JSON of the structs in types.h, by their fields' names.
#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/types.h"

namespace sprite::wire {

/// One line of JSON. Empty optionals are left out.
template <class T>
std::string to_json(const T& value);
template <class T>
boost::json::value to_value(const T& value);

/// The struct that `text` holds. Unknown fields are ignored; missing and null ones keep their defaults.
/// Errors: invalid (not JSON, or a field of the wrong type, which is named).
template <class T>
Result<T> from_json(std::string_view text);

}  // namespace sprite::wire
