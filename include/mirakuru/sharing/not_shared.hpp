// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace mirakuru {

/// The service belongs to one executor. The default.
struct NotShared {
  static constexpr bool shares = false;
};

}  // namespace mirakuru
