// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/group/timeline.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

constexpr mk::TimePoint epoch{100h};

mk::MemberTimes member(const std::string& name, std::vector<std::size_t> needs,
                       std::chrono::milliseconds began, std::chrono::milliseconds ready) {
  mk::MemberTimes times{.name = name, .needs = std::move(needs), .began = epoch + began};
  times.ready = epoch + ready;
  return times;
}

const mk::GroupTimeline stack{{member("db", {}, 0ms, 60ms), member("cache", {}, 0ms, 20ms),
                               member("api", {0, 1}, 60ms, 100ms)}};

}  // namespace

TEST_CASE("GroupTimeline: the critical path is the chain of needs that took longest") {
  CHECK(stack.critical_path() == std::vector<std::size_t>{0, 2});
  CHECK(mk::GroupTimeline{}.critical_path().empty());
  const mk::GroupTimeline failed{{member("db", {}, 0ms, 60ms), {.name = "api", .needs = {0}}}};
  CHECK(failed.critical_path() == std::vector<std::size_t>{0});
}

TEST_CASE("GroupTimeline: a text has one line for each member, and names the critical path") {
  CHECK(stack.text(10) ==
        "db    |######    | 60 ms\n"
        "cache |==        | 20 ms\n"
        "api   |      ####| 40 ms\n"
        "critical path (#): db > api, 100 ms\n");
  CHECK(mk::GroupTimeline{}.text().empty());
}

TEST_CASE("GroupTimeline: a member that is not ready, or has not started, is told") {
  auto broken = stack;
  broken.members[2].ready = {};
  broken.members.push_back({.name = "web", .needs = {2}});
  CHECK(broken.text(10) ==
        "db    |##########| 60 ms\n"
        "cache |===       | 20 ms\n"
        "api   |         ?| not ready\n"
        "web   |          | not started\n"
        "critical path (#): db, 60 ms\n");
}

TEST_CASE("GroupTimeline: a picture has a bar for each member, and no raw text") {
  auto odd = stack;
  odd.members[1].name = "sh -c 'a <b & c>'\n";
  const auto svg = odd.svg();
  CHECK(svg.starts_with("<svg xmlns="));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(svg.find("sh -c 'a &lt;b &amp; c&gt;'\\n: 20 ms") != std::string::npos);
  std::size_t bars = 0;
  for (auto at = svg.find("<rect "); at != svg.npos; at = svg.find("<rect ", at + 1)) ++bars;
  CHECK(bars == 3);
}

TEST_CASE("GroupTimeline: a trace has an event for each member and each check") {
  auto traced = stack;
  traced.members[0].name = "say \"hi\"";
  traced.members[2].start.checks = {{.first_tried = epoch + 70ms, .passed = epoch + 100ms}};
  traced.members[2].checks = {"a line with 'x'"};
  CHECK(
      traced.chrome_trace() ==
      "{\"traceEvents\":[\n"
      "{\"name\":\"say \\\"hi\\\"\",\"cat\":\"critical\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":0,"
      "\"dur\":60000},\n"
      "{\"name\":\"cache\",\"cat\":\"member\",\"ph\":\"X\",\"pid\":1,\"tid\":2,\"ts\":0,"
      "\"dur\":20000},\n"
      "{\"name\":\"api\",\"cat\":\"critical\",\"ph\":\"X\",\"pid\":1,\"tid\":3,\"ts\":60000,"
      "\"dur\":40000},\n"
      "{\"name\":\"a line with 'x'\",\"cat\":\"check\",\"ph\":\"X\",\"pid\":1,\"tid\":3,"
      "\"ts\":70000,\"dur\":30000}\n"
      "]}\n");
}
