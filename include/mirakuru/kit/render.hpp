// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <mirakuru/os/config.hpp>
#include <mirakuru/text/word.hpp>

namespace mirakuru {

/// Replaces each `${name}` in a text by its value: `render(text, {{"port", port}, {"root", dir}})`.
///
/// A name has letters, digits and `_`. `$${` stands for `${`; any other dollar is itself. Throws
/// `std::invalid_argument` that names a name without a value, and a value that the text does not
/// use.
[[nodiscard]] std::string render(std::string_view text, const std::map<std::string, Word>& values);

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/kit/render.ipp>
#endif
