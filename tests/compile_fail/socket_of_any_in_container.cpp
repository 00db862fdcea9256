// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this readiness check looks at this machine, and the launcher runs the command on
// another one, or as another program's child; take TCPCheck, HTTPCheck, BannerCheck, TalkCheck or
// ExecCheck

int main() {
  const mk::Podman box{.image = "db"};
  const mk::TCPCheck port{"localhost", 80};
#if defined(CONTROL)
  mk::Executor executor{"true", box, mk::AnyOf{port, mk::BannerCheck{"up"}}};
#else
  mk::Executor executor{"true", box, mk::AnyOf{port, mk::UnixSocketCheck{"/run/db"}}};
#endif
}
