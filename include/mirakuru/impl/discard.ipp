// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>

#include <mirakuru/output/discard.hpp>

namespace mirakuru {

MIRAKURU_DECL OutputStreams Discard::open() const {
  const auto null = [] {
    return detail::owned(::open("/dev/null", O_WRONLY | O_CLOEXEC), "open /dev/null");
  };
  auto out = null();
  return {std::move(out), null(), keeps_output};
}

}  // namespace mirakuru
