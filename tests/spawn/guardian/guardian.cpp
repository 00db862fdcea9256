// SPDX-License-Identifier: BSL-1.0
// The guardian's memory; tests/spawn/guarded.cpp has its life.
#include <sys/mman.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/spawn/guardian/guardian.hpp>
#include <mirakuru/spawn/own_pages.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::Guardian;

namespace {

/// A request with all that a guardian copies, and each text of `size` bytes.
mk::LaunchRequest large_request(std::size_t size) {
  const std::string text(size, 'x');
  mk::LaunchRequest request{.words = {"/bin/true", text, text}, .cwd = '/' + text, .env = {}};
  request.scratch = '/' + text;
  request.relays = {{.from = 0, .to = 1, .label = text}, {.from = 0, .to = 2}};
  request.leases = mk::Leasing{.listener = -1, .starter = -1, .greeting = text};
  request.far = mk::FarCommand{
      .opening = text, .mark = text, .program = text, .directory = text, .place = text};
  request.limits = {{.resource = 0, .soft = 1, .hard = 2}};
  return request;
}

/// The orders of a guardian, and all that they refer to.
struct Orders {
  explicit Orders(const mk::LaunchRequest& asked) : request{asked} {
    group.path = asked.cwd + "/group";
    scratch.lock_path = asked.scratch + ".lock";
    for (int i = 0; i < 20; ++i) signals.push_back({mk::TimePoint{i * 1s}, SIGTERM});
    clean_up = {{request, exec}, {request, exec}};
  }
  [[nodiscard]] Guardian::Task task() const {
    return {.request = request,
            .exec = exec,
            .last_signals = signals,
            .channel = -1,
            .owner = -1,
            .owner_id = 1,
            .signals_to_reset = 0,
            .mark = {},
            .area = {},
            .modules = nullptr,
            .group = group,
            .scratch = scratch,
            .link = link,
            .clean_up = clean_up};
  }

  mk::LaunchRequest request;
  mk::LocalExec exec{.program = "/bin/true", .environment = {"A=" + std::string(500, 'e')}};
  std::vector<mk::detail::TimedSignal> signals;
  mk::detail::Cgroup group;
  mk::detail::Scratch scratch;
  mk::detail::LinkEnds link;
  std::vector<mk::detail::CleanUp::Task> clean_up;
};

/// A guardian in memory of its own that begins as '#'.
struct Made {
  explicit Made(const Orders& orders)
      : extra{Guardian::extra_size(orders.task())},
        pages{sizeof(Guardian) + extra + rest, MAP_PRIVATE} {
    std::fill_n(static_cast<char*>(pages.begin()), sizeof(Guardian) + extra + rest, '#');
    guardian = new (pages.begin()) Guardian{orders.task()};
  }
  [[nodiscard]] const char* end() const {
    return static_cast<const char*>(pages.begin()) + sizeof(Guardian) + extra;
  }

  static constexpr std::size_t rest = 8192;
  std::size_t extra;
  mk::detail::OwnPages pages;
  Guardian* guardian;
};

}  // namespace

TEST_CASE("Guardian: it writes no further than it has asked for") {
  for (const std::size_t size : {0U, 1U, 7U, 100U, 5000U}) {
    CAPTURE(size);
    const Made made{Orders{large_request(size)}};
    CHECK(std::all_of(made.end(), made.end() + Made::rest, [](char c) { return c == '#'; }));
  }
  mk::LaunchRequest small{.words = {"a"}};
  Orders orders{small};
  orders.clean_up.clear();
  orders.signals.clear();
  const Made made{orders};
  CHECK(std::all_of(made.end(), made.end() + Made::rest, [](char c) { return c == '#'; }));
}

TEST_CASE("Guardian: the needed memory is the object, its texts and the thread's own data") {
  const Made made{Orders{large_request(100'000)}};
  const auto needs = [&made](const void* place) {
    const auto& ranges = made.guardian->needed();
    return std::any_of(std::begin(ranges), std::end(ranges), [place](const auto& range) {
      return range.holds(reinterpret_cast<std::uintptr_t>(place));
    });
  };
  CHECK(needs(made.guardian));
  CHECK(needs(made.end() - 1));
  CHECK(needs(&errno));
  CHECK(needs(__builtin_thread_pointer()));
  CHECK_FALSE(needs(reinterpret_cast<const void*>(&::raise)));
  CHECK_FALSE(needs(nullptr));
}

TEST_CASE("Guardian: the begin of its stack and its data share a page") {
  const Made made{Orders{large_request(1)}};
  const auto top = reinterpret_cast<std::uintptr_t>(made.guardian->stack_top());
  CHECK(top % Guardian::page == Guardian::page / 2);
  CHECK(top - reinterpret_cast<std::uintptr_t>(made.guardian) == Guardian::stack_size);
}
