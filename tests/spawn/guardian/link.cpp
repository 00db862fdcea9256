// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>
#include <memory>
#include <string>
#include <vector>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/guardian/link.hpp>

namespace mk = mirakuru;
using mk::detail::Link;
using News = Link::News;

namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    out = mk::detail::UniqueFd{ends[0]};
    in = mk::detail::UniqueFd{ends[1]};
  }
  void put(std::string_view text) const {
    REQUIRE(::write(in.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] std::string take() const {
    std::string text(100'000, '\0');
    const auto size = ::read(out.get(), text.data(), text.size());
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
  }

  mk::detail::UniqueFd out, in;
};

/// A link, and the other ends of its pipes.
struct Far {
  explicit Far(int tasks = 1) {
    command->tasks = tasks;
    // It closes its own ends.
    const auto own = [](const mk::detail::UniqueFd& fd) { return ::dup(fd.get()); };
    ends = {own(orders.in), own(news.out), own(input.out), own(errors.in)};
    memory = std::make_unique<char[]>(Link::extra_size(command));
    mk::detail::StringArena arena{memory.get()};
    link.emplace(command, ends, arena);
    orders.in.reset();
    input.out.reset();
  }
  ~Far() {
    link->each_descriptor([](int fd) {
      if (fd >= 0) ::close(fd);
    });
  }
  [[nodiscard]] static std::string line(const std::string& words) {
    return std::string(1, '\0') + "mirakuru MARK " + words + '\n';
  }
  News pump() { return link->pump(time); }
  void come_up() {
    news.put(line("up 42 node7"));
    REQUIRE(pump() == News::up);
    REQUIRE(pump() == News::none);
    REQUIRE(orders.take() == "\n");  // the first heartbeat
  }

  std::optional<mk::FarCommand> command = mk::FarCommand{"", "MARK", "server", "", "node7"};
  Pipe orders, news, input, errors;
  mk::detail::LinkEnds ends;
  std::unique_ptr<char[]> memory;
  std::optional<Link> link;
  std::int64_t time = 1'000'000'000;
};

}  // namespace

TEST_CASE("Link: a request without a far command needs nothing") {
  mk::detail::StringArena arena{nullptr};
  const Link link{std::nullopt, {}, arena};
  CHECK_FALSE(link.exists());
  CHECK(link.pause(0) == INT64_MAX);
  CHECK(Link::extra_size(std::nullopt) == 0);
}

TEST_CASE("Link: the far guardian's lines are news, and all else is standard error") {
  Far far;
  far.news.put("Welcome\r\n" + Far::line("up 42 node7") + "one" + Far::line("end -15") + "two\n" +
               Far::line("gone"));
  CHECK(far.pump() == News::up);
  CHECK(far.link->number() == 42);
  CHECK(far.link->text() == std::string{"node7"});
  CHECK(far.pump() == News::end);
  CHECK(far.link->has_ended());
  CHECK(far.link->exit_code() == -15);
  CHECK(far.pump() == News::gone);
  CHECK(far.pump() == News::none);
  CHECK(far.errors.take() == "Welcome\r\nonetwo\n");
}

TEST_CASE("Link: a line is known however it is cut") {
  const auto text = "a" + Far::line("up 7 n") + "b";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Far far;
    int ups = 0;
    for (const auto& part : {text.substr(0, cut), text.substr(cut)}) {
      if (part.empty()) continue;
      far.news.put(part);
      for (News news; (news = far.pump()) != News::none;) ups += news == News::up;
    }
    CHECK(ups == 1);
    CHECK(far.errors.take() == "ab");
  }
}

TEST_CASE("Link: zeros and foreign marks are standard error") {
  Far far;
  const std::string zero(1, '\0');
  const auto text = zero + zero + "mirakuru MAR" + zero + "mirakuru OTHER up 1 x\n" + zero + zero +
                    "mirakuru MARK " + std::string(300, 'x') + '\n' + zero;
  far.news.put(text);
  CHECK(far.pump() == News::none);
  CHECK(far.errors.take() == text.substr(0, text.size() - 1));
  far.news.put("end\n");
  CHECK(far.pump() == News::none);
  CHECK(far.errors.take() == zero + "end\n");
}

TEST_CASE("Link: an unfinished line at the end is standard error") {
  Far far;
  far.news.put(Far::line("up 1 n") + Far::line("end 0").substr(0, 20));
  CHECK(far.pump() == News::up);
  far.news.in.reset();
  int news = 0;
  far.link->drain([&](News) { ++news; });
  CHECK(news == 0);
  CHECK(far.errors.take() == Far::line("end 0").substr(0, 20));
}

TEST_CASE("Link: the last words are the last line that is not empty") {
  Far far;
  far.news.put("ssh: one\r\n\r\nssh: two\r\n\n");
  CHECK(far.pump() == News::none);
  CHECK(far.link->last_words() == std::string{"ssh: two"});
}

TEST_CASE("Link: a job of two tasks ends with the last, and its bad exit code counts") {
  Far far;
  for (const auto* words : {"up 1 a", "up 2 b", "end 3", "end 0", "gone", "gone"})
    far.news.put(Far::line(words));
  CHECK(far.pump() == News::up);
  CHECK(far.link->text() == std::string{"a"});
  CHECK(far.pump() == News::end);
  CHECK(far.link->exit_code() == 3);
  CHECK(far.pump() == News::gone);
  CHECK(far.pump() == News::none);
}

TEST_CASE("Link: a failure has its step and its errno") {
  Far far;
  far.news.put(Far::line("failed execve 13"));
  CHECK(far.pump() == News::failed);
  CHECK(far.link->text() == std::string{"execve"});
  CHECK(far.link->number() == 13);
}

TEST_CASE("Link: a signal is an order, once the command is up") {
  Far far;
  far.link->signal(SIGTERM, false);
  far.link->signal(SIGUSR1, true);
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take() == "\n");
  far.news.put(Far::line("up 42 node7"));
  CHECK(far.pump() == News::up);
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take() == "l10\ns15\n");
  far.link->signal(SIGKILL, false);
  CHECK(far.orders.take() == "s9\n");
}

TEST_CASE("Link: a signal waits for a full pipe, and the input does not fill it") {
  Far far;
  far.come_up();
  const std::string much(2000, 'x');
  std::size_t filled = 0;
  while (::write(far.ends.orders, "y", 1) == 1) ++filled;
  far.input.put(much);
  far.link->signal(SIGTERM, false);
  CHECK(far.pump() == News::none);
  pollfd events[Link::most];
  far.link->wait_for(events);
  CHECK(events[1].fd == -1);
  CHECK(events[2].fd == far.ends.orders);
  CHECK(far.orders.take() == std::string(filled, 'y'));
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take().starts_with("s15\nixxx"));
}

TEST_CASE("Link: each byte of the input goes there, and its end") {
  Far far;
  far.come_up();
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  far.input.put(all);
  CHECK(far.pump() == News::none);
  const auto order = far.orders.take();
  REQUIRE(order.size() == 2 + 256 + 4 * (256 - 94));  // a backslash is no plain one
  CHECK(order.substr(0, 11) == "i\\0000\\0001");
  CHECK(order.find("[\\0134]") != order.npos);
  CHECK(order.ends_with("\\0376\\0377\n"));
  far.news.put(Far::line("taken"));
  far.input.in.reset();
  CHECK(far.pump() == News::none);
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take() == "e\n");
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take().empty());
}

TEST_CASE("Link: input waits until all tasks have taken the line before, and signals do not") {
  Far far{2};
  far.come_up();
  far.input.put("one");
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take() == "ione\n");
  far.input.put("two");
  for (int tasks = 0; tasks < 2; ++tasks) {
    CHECK(far.pump() == News::none);
    CHECK(far.orders.take().empty());
    pollfd events[Link::most];
    far.link->wait_for(events);
    CHECK(events[1].fd == -1);
    far.news.put(Far::line("taken"));
  }
  far.link->signal(SIGTERM, false);
  CHECK(far.orders.take() == "s15\n");
  CHECK(far.pump() == News::none);
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take() == "itwo\n");
}

TEST_CASE("Link: a line of input is full, and fits into a page, whichever bytes it has") {
  for (const char byte : {'x', '\1'}) {
    Far far;
    far.come_up();
    far.input.put(std::string(20'000, byte));
    std::size_t sent = 0;
    for (int lines = 0; lines < 100 && sent < 20'000; ++lines) {
      CHECK(far.pump() == News::none);
      const auto order = far.orders.take();
      if (order.empty()) continue;
      CHECK(order.size() <= 4096);
      const auto bytes = (order.size() - 2) / (byte == 'x' ? 1 : 5);
      sent += bytes;
      if (sent < 20'000) CHECK(bytes >= (byte == 'x' ? 3500u : 700u));
      far.news.put(Far::line("taken"));
    }
    CHECK(sent == 20'000);
  }
}

TEST_CASE("Link: the last good end of all tasks counts, or the first bad one") {
  Far good{2};
  good.come_up();
  good.news.put(Far::line("end 0"));  // the other one is not up yet
  CHECK(good.pump() == News::none);
  good.news.put(Far::line("up 43 node8") + Far::line("end 0") + Far::line("gone"));
  CHECK(good.pump() == News::end);
  CHECK(good.link->exit_code() == 0);
  CHECK(good.pump() == News::none);
  good.news.put(Far::line("gone"));
  CHECK(good.pump() == News::gone);

  Far bad{2};
  bad.come_up();
  bad.news.put(Far::line("end 3") + Far::line("end 0"));
  CHECK(bad.pump() == News::end);
  CHECK(bad.pump() == News::none);
  CHECK(bad.link->exit_code() == 3);
  CHECK(bad.link->has_ended());
}

TEST_CASE("Link: a heartbeat is due every two seconds") {
  Far far;
  far.come_up();
  CHECK(far.link->pause(far.time) == Link::heartbeat);
  far.time += Link::heartbeat - 1;
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take().empty());
  far.time += 1;
  CHECK(far.pump() == News::none);
  CHECK(far.orders.take() == "\n");
}

TEST_CASE("Link: heartbeats come also before the command is up, and nothing spins") {
  Far far;
  for (int beat = 0; beat < 3; ++beat) {
    CHECK(far.pump() == News::none);
    CHECK(far.orders.take() == "\n");
    CHECK(far.link->pause(far.time) == Link::heartbeat);
    far.time += Link::heartbeat;
  }
}

TEST_CASE("Link: a far guardian that may end hears it, and its input ends") {
  Far far;
  far.come_up();
  far.link->release();
  CHECK_FALSE(far.link->is_up());
  CHECK(far.orders.take() == "q\n");
  char byte;
  CHECK(::read(far.orders.out.get(), &byte, 1) == 0);
  CHECK(far.link->pause(far.time) == INT64_MAX);
}

TEST_CASE("Link: a file of standard error that is full keeps the rest") {
  Far far;
  std::size_t filled = 0;
  while (::write(far.errors.in.get(), "y", 1) == 1) ++filled;
  far.news.put("late\n");
  CHECK(far.pump() == News::none);
  pollfd events[Link::most];
  far.link->wait_for(events);
  CHECK(events[0].events == POLLOUT);
  CHECK(far.errors.take() == std::string(filled, 'y'));
  CHECK(far.pump() == News::none);
  CHECK(far.errors.take() == "late\n");
}
