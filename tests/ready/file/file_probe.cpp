// SPDX-License-Identifier: BSL-1.0
// Probes for a file, polled at made-up moments.
#include <poll.h>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/output/streams.hpp>
#include <mirakuru/ready/file/file_probe.hpp>

#include "files.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::FileChanges;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;

/// Ready when the file has the text "ready".
class Content final : public mk::FileProbe {
 public:
  Content(const mk::Process& process, std::string path) : FileProbe{process, std::move(path)} {}

  int looks = 0;
  std::function<void()> after_look = [] {};

  using FileProbe::changed_at;

 private:
  mk::Readiness look(mk::TimePoint) override {
    ++looks;
    const auto text = test::slurp(path());
    std::exchange(after_look, [] {})();
    return text == "ready" ? mk::Readiness{true} : mk::not_ready("it holds '" + text + "'");
  }
};

/// A file in a directory of its own, and the process that is to write it.
struct File {
  test::TempDir directory;
  std::string path = directory / "file";
  FileChanges changes;
  mk::Process process{1, no_streams, true, {.since = epoch, .changes = &changes}};

  void write(const std::string& text) const { std::ofstream{path} << text; }
};

mk::WaitSet wait_of(const Content& probe, mk::TimePoint now) {
  mk::WaitSet waits;
  probe.wait(now, waits);
  return waits;
}

bool is_woken(mk::WaitSet waits) {
  const auto descriptors = waits.descriptors();
  return ::poll(descriptors.data(), descriptors.size(), 0) > 0;
}

}  // namespace

TEST_CASE("FileProbe: the kernel's event wakes it") {
  File file;
  Content probe{file.process, file.path};
  CHECK(probe.poll(epoch).reason() == "it holds ''");
  auto waits = wait_of(probe, epoch);
  CHECK(waits.size() == 1);
  CHECK(waits.deadline() == epoch + 20ms);
  CHECK_FALSE(is_woken(waits));

  file.write("rea");
  CHECK(is_woken(waits));
  CHECK(probe.poll(epoch + 1ms).reason() == "it holds 'rea'");
  waits = wait_of(probe, epoch + 1ms);
  CHECK_FALSE(is_woken(waits));

  file.write("ready");
  CHECK(is_woken(waits));
  CHECK(probe.poll(epoch + 2ms));
}

TEST_CASE("FileProbe: it polls once in a while, for changes without an event") {
  File file;
  Content probe{file.process, file.path};
  CHECK_FALSE(probe.poll(epoch));
  CHECK(wait_of(probe, epoch + 100ms).deadline() == epoch + 150ms);
  CHECK(wait_of(probe, epoch + 1h).deadline() == epoch + 1h + 1s);
}

TEST_CASE("FileProbe: no change is lost between a look and the wait") {
  File file;
  Content probe{file.process, file.path};
  SUBCASE("in the first poll") {
    probe.after_look = [&] { file.write("ready"); };
  }
  SUBCASE("in a later one") {
    CHECK_FALSE(probe.poll(epoch));
    probe.after_look = [&] { file.write("ready"); };
  }
  CHECK(probe.poll(epoch + 1ms));
}

TEST_CASE("FileProbe: without news there is one look a poll") {
  File file;
  Content probe{file.process, file.path};
  CHECK_FALSE(probe.poll(epoch));
  probe.looks = 0;
  CHECK_FALSE(probe.poll(epoch + 20ms));
  CHECK_FALSE(probe.poll(epoch + 40ms));
  CHECK(probe.looks == 2);
}

TEST_CASE("FileProbe: where nothing is followed it polls after pauses that adapt") {
  File file;
  mk::Process process{1, no_streams, true, {.since = epoch}};
  SUBCASE("there is no instance") {}
  SUBCASE("there is no path") {
    process = file.process;
    file.path = {};
  }
  Content probe{process, file.path};
  CHECK_FALSE(probe.poll(epoch));
  auto waits = wait_of(probe, epoch);
  CHECK(waits.size() == 0);
  CHECK(waits.deadline() == epoch + 500us);
  CHECK(wait_of(probe, epoch + 6400ms).deadline() == epoch + 6500ms);
  if (file.path.empty()) return;
  file.write("ready");
  CHECK(probe.poll(epoch + 1ms));
}

TEST_CASE("FileProbe: a stream of changes is looked at after short pauses") {
  File file;
  Content probe{file.process, file.path};
  auto now = epoch;
  for (int changes = 1; changes <= 50; ++changes) {
    file.write("text " + std::to_string(changes));
    CHECK_FALSE(probe.poll(now));
    CHECK(wait_of(probe, now).size() == 1);
    now += 1ms;
  }
  CHECK_FALSE(probe.poll(now));
  const auto waits = wait_of(probe, now);
  CHECK(waits.size() == 0);
  CHECK(waits.deadline() == now + 500us);

  now = epoch + 51ms;  // a new count begins
  CHECK_FALSE(probe.poll(now));
  CHECK(wait_of(probe, now).size() == 1);
}

TEST_CASE("FileProbe: changed_at() is the first poll's moment, then each change's") {
  File file;
  file.write("old");
  Content probe{file.process, file.path};
  CHECK_FALSE(probe.poll(epoch + 1s));
  CHECK(probe.changed_at() == epoch + 1s);
  CHECK_FALSE(probe.poll(epoch + 2s));
  CHECK(probe.changed_at() == epoch + 1s);
  file.write("new");
  CHECK_FALSE(probe.poll(epoch + 3s));
  CHECK(probe.changed_at() == epoch + 3s);
  CHECK_FALSE(probe.poll(epoch + 4s));
  CHECK(probe.changed_at() == epoch + 3s);
}

TEST_CASE("FileProbe: news that another probe has taken make it due") {
  File file;
  Content probe{file.process, file.path}, other{file.process, file.directory / "other"};
  CHECK_FALSE(probe.poll(epoch));
  CHECK_FALSE(other.poll(epoch));
  CHECK_FALSE(probe.pending());
  file.write("old");
  CHECK_FALSE(other.poll(epoch + 1ms));
  CHECK(probe.pending());
  CHECK_FALSE(other.pending());
  CHECK_FALSE(is_woken(wait_of(probe, epoch + 1ms)));
  CHECK_FALSE(probe.poll(epoch + 1ms));
  CHECK(probe.changed_at() == epoch + 1ms);
  CHECK_FALSE(probe.pending());
}
