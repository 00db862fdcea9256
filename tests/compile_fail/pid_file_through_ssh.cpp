// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this readiness check looks at this machine, and the launcher runs the command on
// another one, or as another program's child; take TCPCheck, HTTPCheck, BannerCheck, TalkCheck or
// ExecCheck

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Ssh{.host = "node7"}, mk::TCPCheck{"node7", 80}};
#else
  mk::Executor executor{"true", mk::Ssh{.host = "node7"}, mk::PidCheck{"/run/db.pid"}};
#endif
}
