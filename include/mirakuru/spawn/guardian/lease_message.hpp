// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace mirakuru::detail {

/// The head of each message between a guardian, the program that has started its tree, and those
/// that have joined. Bytes follow it.
struct LeaseHead {
  /// Another layout is another number.
  static constexpr std::uint32_t current = 0x6d6b0002;
  /// The most bytes of a greeting, and of the values that the starter publishes.
  static constexpr std::size_t most = 60 * 1024;

  enum Kind : std::uint32_t {
    ready,   ///< starter to guardian: the service is ready; the published values follow
    hello,   ///< guardian to a joiner: it has joined; greeting and values follow
    failed,  ///< starter to a joiner: the start has failed; the error follows
    ended    ///< guardian to all: the leader has ended
  };

  std::uint32_t version = current;
  Kind kind = ready;
  std::int32_t leader = 0, guardian = 0;  // of `hello`
  std::int32_t exit_code = 0;             // of `ended`
  std::int32_t last = 0;                  // of `ended`: no process of the tree is left
  std::uint32_t greeting_size = 0;        // of `hello`
  std::uint64_t mark = 0;                 // of `hello`: see `RlimitTag`; 0: none
};

}  // namespace mirakuru::detail
