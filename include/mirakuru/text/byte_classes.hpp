// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <mirakuru/text/characters.hpp>

namespace mirakuru::detail {

/// The classes of bytes that no state of an automaton distinguishes. At first all bytes are one
/// class.
class ByteClasses {
 public:
  using Bytes = Characters::Bytes;

  /// Splits each class that is partly in `bytes`.
  void split(const Bytes& bytes) {
    if (bytes.count() == 1 && (bytes & alone_).any()) return;
    if (bytes.count() == 1) alone_ |= bytes;
    std::array<std::size_t, 256> size{}, in{}, moves_to{};
    for (std::size_t byte = 0; byte < 256; ++byte) {
      ++size[class_of_[byte]];
      if (bytes[byte]) ++in[class_of_[byte]];
    }
    for (std::size_t i = 0, before = count_; i < before; ++i)
      moves_to[i] = in[i] == 0 || in[i] == size[i] ? i : count_++;
    for (std::size_t byte = 0; byte < 256; ++byte)
      if (bytes[byte]) class_of_[byte] = moves_to[class_of_[byte]];
  }
  /// Splits the classes where the bytes differ in UTF-8.
  void split_by_place() {
    for (UTF8Place place = 0; place < 8; ++place) {
      Bytes begin, inner;
      for (int byte = 0; byte < 256; ++byte) {
        begin[static_cast<std::size_t>(byte)] = place_after(0, byte) == place;
        inner[static_cast<std::size_t>(byte)] = continues_character(place, byte);
      }
      split(begin);
      split(inner);
    }
  }
  /// The bytes of each class.
  [[nodiscard]] std::vector<std::string> members() const {
    std::vector<std::string> all(count_);
    for (std::size_t byte = 0; byte < class_of_.size(); ++byte)
      all[class_of_[byte]] += static_cast<char>(byte);
    return all;
  }

 private:
  std::array<std::size_t, 256> class_of_ = {};
  std::size_t count_ = 1;
  Bytes alone_ = {};  // bytes that are a class of their own
};

}  // namespace mirakuru::detail
