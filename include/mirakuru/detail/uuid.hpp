// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/detail/config.hpp>

namespace mirakuru::detail {

/// A random UUID, version 4, as text. Source: RFC 9562, 5.4; rests on `getrandom`.
[[nodiscard]] std::string make_uuid();

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/uuid.ipp>
#endif
