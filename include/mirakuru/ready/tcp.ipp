// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/error.hpp>
#include <mirakuru/ready/connect.hpp>
#include <mirakuru/ready/tcp.hpp>

namespace mirakuru {

MIRAKURU_DECL std::string TCPCheck::describe() const {
  return "a connection to " + detail::authority(host, port);
}

MIRAKURU_DECL std::string TCPCheck::describe_conflict() const {
  const auto who = detail::who_listens(host, port);
  return detail::authority(host, port) + " answers" + (who.empty() ? "" : ", held by " + who);
}

namespace detail {

/// A connection is the answer.
class TCPInquiry : public Inquiry {
 public:
  using Inquiry::Inquiry;

 private:
  std::optional<Readiness> talk() override { return true; }
};

MIRAKURU_DECL Entry enter_look(Race& race, const TCPCheck* check) {
  return {race.enter(std::make_unique<TCPInquiry>(race, nullptr, check->host.str(), check->port))};
}

MIRAKURU_DECL Entry enter(Race& race, const TCPCheck* check, const Process&) {
  return {race.enter(std::make_unique<TCPInquiry>(race, check, check->host.str(), check->port))};
}

}  // namespace detail
}  // namespace mirakuru
