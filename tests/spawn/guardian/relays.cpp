// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/os/nameless_file.hpp>
#include <mirakuru/spawn/guardian/relays.hpp>

namespace mk = mirakuru;
using mk::detail::make_pipe;
using mk::detail::nameless_file;
using mk::detail::RelayRun;

namespace {

/// A relay from a file to a pipe, without a guardian.
struct Copy {
  mk::detail::UniqueFd file = nameless_file("a test", O_APPEND);
  mk::detail::Pipe pipe = make_pipe();
  std::unique_ptr<char[]> memory;
  RelayRun run;

  explicit Copy(std::string label) {
    ::fcntl(pipe.reading.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(pipe.writing.get(), F_SETFL, O_NONBLOCK);
    const mk::Relay relay{.from = file.get(), .to = pipe.writing.get(), .label = std::move(label)};
    memory = std::make_unique<char[]>(RelayRun::extra_size(relay));
    mk::detail::StringArena arena{memory.get()};
    run = RelayRun{relay, arena};
  }
  void print(const std::string& text) const {
    REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] std::string shown() const {
    std::string text(1 << 20, '\0');
    const auto size = ::read(pipe.reading.get(), text.data(), text.size());
    return text.substr(0, size < 0 ? 0 : static_cast<std::size_t>(size));
  }
};

}  // namespace

TEST_CASE("RelayRun: whole lines with a label, and the rest the last time") {
  Copy copy{"name: "};
  copy.print("one\ntwo\nunfin");
  CHECK_FALSE(copy.run.pump(false));
  CHECK(copy.shown() == "name: one\nname: two\n");
  copy.print("ished\n\nlast");
  CHECK_FALSE(copy.run.pump(false));
  CHECK(copy.shown() == "name: unfinished\nname: \n");
  CHECK_FALSE(copy.run.pump(true));
  CHECK(copy.shown() == "name: last\n");
}

TEST_CASE("RelayRun: a full target keeps all for later, and one call copies a bounded amount") {
  Copy copy{""};
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += std::to_string(i) + '\n';
  copy.print(lines);
  CHECK_FALSE(copy.run.pump(false));
  CHECK(copy.run.blocked());
  std::string all;
  int calls = 0;
  for (; all.size() < lines.size() && calls < 10'000; ++calls) {
    all += copy.shown();
    copy.run.pump(false);
  }
  CHECK(all == lines);
  CHECK(calls > 4);

  Copy bounded{""};
  bounded.print(std::string(40 * RelayRun::buffer_size, 'x'));
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(null, bounded.pipe.writing.get());
  CHECK(bounded.run.pump(false));  // there is more
  ::close(null);
}
