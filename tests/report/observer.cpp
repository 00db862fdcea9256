// SPDX-License-Identifier: BSL-1.0
#include <sys/types.h>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/report/observer.hpp>

using namespace mirakuru::detail;

namespace {

struct Log final : Observer {
  std::string text;

  Log() { observer = this; }
  Log(const Log&) = delete;
  ~Log() { observer = nullptr; }
  void starting(Observed&, Fate (*)(Observed&)) noexcept override { text += "starting "; }
  void started(Observed&, pid_t) noexcept override { text += "started "; }
  void moved(Observed& from, Observed& to) noexcept override {
    text += &from != &to ? "moved " : "";
  }
  void cleared(Observed&) noexcept override { text += "cleared "; }
  void destroyed(Observed&) noexcept override { text += "destroyed "; }
  bool ended_badly(Observed&, const std::string&) noexcept override { return false; }
  bool print(const std::string&) noexcept override { return false; }
};

struct Watched : Observed {
  void start() {
    be_observed([](Observed&) { return Fate::running; });
  }
  [[nodiscard]] bool is_observed() const { return observer() != nullptr; }
};

}  // namespace

TEST_CASE("Observer: there is none unless somebody sets one") {
  REQUIRE(observer == nullptr);
  Watched service;
  service.start();
  CHECK_FALSE(service.is_observed());
}

TEST_CASE("Observer: it hears of a service from its first start on") {
  Log log;
  {
    const Watched never;
  }
  CHECK(log.text.empty());
  {
    Watched service;
    service.start();
    CHECK(service.is_observed());
    const Watched other{std::move(service)};
    CHECK(other.is_observed());
  }
  CHECK(log.text == "starting moved destroyed ");  // the place that it has left is silent
}
