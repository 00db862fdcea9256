// SPDX-License-Identifier: BSL-1.0
// HTTP servers that break the rules: behaviours of the helper's verb `serve`.

#pragma once

#include <string>
#include <vector>

namespace test {

struct Hostile {
  std::string behaviour;
  std::vector<std::string> reasons;  // the message has one of them
};

inline const std::vector<Hostile>& hostile_servers() {
  static const std::vector<Hostile> all{
      {"mute", {"no answer within "}},
      {"drip", {"no answer within "}},
      {"endless-headers", {"more than 64 KiB in front of the body"}},
      {"garbage", {"not an HTTP answer: "}},
      {"close", {"closed without an HTTP answer", "connection reset by peer", "broken pipe"}},
      {"close-after-request", {"closed without an HTTP answer"}},
      {"continue-only", {"no answer within "}},
      {"huge-header", {"more than 64 KiB in front of the body"}},
  };
  return all;
}

}  // namespace test
