#pragma once
/// Result<T>: a value, or the Error that prevented it. TRY and TRY_LET return early; their CO_ twins do so in
/// coroutines.
#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/error.h"

namespace sprite {

/// A T, or the Error that prevented it. A subset of std::expected's interface, so that it can become one.
template <class T = void>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result() : Result(Error{Error::Kind::internal, "no result was set"}) {}  // Asio's co_spawn needs a default state
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <std::convertible_to<T> U>
  requires(!std::same_as<std::remove_cvref_t<U>, Result> && !std::same_as<std::remove_cvref_t<U>, Error>)
      Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  bool has_value() const noexcept { return state_.index() == 0; }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  explicit operator bool() const noexcept { return !error_; }
  bool has_value() const noexcept { return !error_; }
  void operator*() const noexcept {}
  const Error& error() const& { return error_.value(); }
  Error&& error() && { return std::move(error_).value(); }

 private:
  std::optional<Error> error_;
};

}  // namespace sprite

#define TRY_CAT_(a, b) a##b
#define TRY_CAT(a, b) TRY_CAT_(a, b)
#define TRY_AS_(tmp, decl, expr, leave)   \
  auto tmp = (expr);                      \
  if (!tmp) leave std::move(tmp).error(); \
  decl = *std::move(tmp)
#define TRY_LET(decl, expr) TRY_AS_(TRY_CAT(try_, __COUNTER__), decl, expr, return )
#define CO_TRY_LET(decl, expr) TRY_AS_(TRY_CAT(try_, __COUNTER__), decl, expr, co_return )
#define TRY(expr)                                                     \
  do {                                                                \
    if (auto tried = (expr); !tried) return std::move(tried).error(); \
  } while (false)
#define CO_TRY(expr)                                                     \
  do {                                                                   \
    if (auto tried = (expr); !tried) co_return std::move(tried).error(); \
  } while (false)
