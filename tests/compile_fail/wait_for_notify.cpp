// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this check prepares the command, so wait_for\(\) comes too late for it

int main() {
  mk::SimpleExecutor executor{"true"};
#if defined(CONTROL)
  executor.wait_for(mk::AnyOf{mk::ExitCheck{}});
#else
  executor.wait_for(mk::AnyOf{mk::NotifyCheck{}, mk::FdCheck{}});
#endif
}
