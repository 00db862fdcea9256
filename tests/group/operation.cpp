// SPDX-License-Identifier: BSL-1.0
// Stories of a group's start and stop, with members that run no process.
#include <chrono>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/error.hpp>
#include <mirakuru/group/operation.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::End;
using mk::detail::GroupOperation;

namespace {

constexpr auto for_ever = std::chrono::nanoseconds::max();

/// A member that the test makes ready, or fails.
class Fake final : public mk::detail::AnyService {
 public:
  Fake(std::string name, std::string& log)
      : base_{std::make_unique<mk::detail::ServiceBase>(
            mk::detail::ResolvedCommand{mk::Argv{std::vector{name}}})},
        name_{std::move(name)},
        log_{log} {}

  bool runs = false;      // the process
  bool is_ready = false;  // from the next resume() on
  bool ends = true;       // a stop is over at once
  std::string start_error, stop_error;
  std::chrono::nanoseconds limit{};

  std::unique_ptr<mk::detail::Task> start(mk::detail::CoroutineLoop,
                                          std::chrono::nanoseconds limit_of_group) override {
    log_ += "+" + name_ + " ";
    limit = limit_of_group;
    runs = true;
    return std::make_unique<Step>(
        [this] {
          if (!start_error.empty()) {
            runs = false;
            throw std::runtime_error{start_error};
          }
          if (is_ready) log_ += name_ + "! ";
          return is_ready;
        },
        [this](std::exception_ptr error) -> bool {
          log_ += "x" + name_ + " ";
          runs = false;
          std::rethrow_exception(error);
        });
  }
  std::unique_ptr<mk::detail::Task> end(End how) override {
    log_ += (how == End::kill ? "k" : "-") + name_ + " ";
    return std::make_unique<Step>(
        [this] {
          if (ends) runs = false;
          if (ends && !stop_error.empty()) throw std::runtime_error{stop_error};
          return ends;
        },
        [this](std::exception_ptr) {
          log_ += "9" + name_ + " ";
          runs = false;
          return true;
        });
  }
  std::unique_ptr<mk::detail::Task> end_by(int, End, const std::vector<int>&) override {
    return nullptr;
  }
  std::unique_ptr<mk::detail::Task> wait(std::chrono::nanoseconds) override { return nullptr; }
  std::unique_ptr<mk::detail::Task> wait_for(mk::detail::AnyCheck, std::chrono::nanoseconds,
                                             mk::detail::CoroutineLoop) override {
    return nullptr;
  }
  bool needs_asio() const noexcept override { return false; }
  void run(const mk::detail::MakeTask&) override {}
  mk::detail::ServiceBase& base() const noexcept override { return *base_; }
  bool alive() override { return runs; }
  bool pause() override { return true; }
  void resume() override {}
  pid_t pid() const noexcept override { return runs ? 1 : 0; }
  pid_t guardian() const noexcept override { return 0; }
  const mk::detail::SharedValues& values() const noexcept override {
    return mk::detail::NotSharedRun::values;
  }
  int event() const noexcept override { return -1; }
  std::chrono::nanoseconds start_budget() const noexcept override { return for_ever; }
  std::vector<std::string> check_names() const override { return {}; }

 private:
  /// Looks at the member in each round, and once more when it is cancelled.
  class Step final : public mk::detail::Task {
   public:
    Step(std::function<bool()> look, std::function<bool(std::exception_ptr)> give_up)
        : look_{std::move(look)}, give_up_{std::move(give_up)} {}
    bool resume(mk::TimePoint, mk::WaitSet& waits) override {
      waits.clear();
      waits.until(mk::TimePoint{});
      return cancelled_ ? give_up_(cancelled_) : look_();
    }
    void cancel(std::exception_ptr error) override { cancelled_ = error; }

   private:
    std::function<bool()> look_;
    std::function<bool(std::exception_ptr)> give_up_;
    std::exception_ptr cancelled_;
  };

  std::unique_ptr<mk::detail::ServiceBase> base_;
  std::string name_;
  std::string& log_;
};

/// Members a, b, c ... with needs that are given by their letters.
struct Story {
  explicit Story(std::initializer_list<std::string> needs) {
    for (const auto& letters : needs) {
      auto fake =
          std::make_shared<Fake>(std::string(1, static_cast<char>('a' + fakes.size())), log);
      fakes.push_back(fake.get());
      members.emplace_back().service = std::move(fake);
      for (const char letter : letters)
        members.back().needs.push_back(static_cast<std::size_t>(letter - 'a'));
    }
  }
  Fake& operator[](char letter) { return *fakes[static_cast<std::size_t>(letter - 'a')]; }

  /// The log since the last call, after one round.
  std::string round(GroupOperation& operation) {
    over = operation.resume(now, waits);
    now += 1s;
    return std::exchange(log, {});
  }

  std::vector<mk::detail::Member> members;
  std::vector<Fake*> fakes;
  std::string log;
  mk::WaitSet waits;
  mk::TimePoint now{100h};
  bool over = false;
};

}  // namespace

TEST_CASE("GroupOperation: one member twice is refused in a start, and ended once") {
  Story story{"", ""};
  story.members.push_back(story.members[0]);
  CHECK_THROWS_WITH_AS((GroupOperation{story.members, nullptr, for_ever}),
                       "an executor is given twice: a", std::invalid_argument);
  story['a'].runs = true;
  GroupOperation stop{story.members, End::stop};
  CHECK(story.round(stop) == "-a -a ");
  CHECK_FALSE(story['a'].runs);
}

TEST_CASE("GroupOperation: a member starts when its needs are ready") {
  Story story{"", "", "ab", "c"};
  GroupOperation start{story.members, nullptr, for_ever};
  CHECK(story.round(start) == "+a +b ");
  CHECK(story.round(start).empty());
  story['a'].is_ready = true;
  CHECK(story.round(start) == "a! ");
  story['b'].is_ready = story['c'].is_ready = true;
  CHECK(story.round(start) == "b! +c c! +d ");
  CHECK_FALSE(story.over);
  story['d'].is_ready = true;
  CHECK(story.round(start) == "d! ");
  CHECK(story.over);
}

TEST_CASE("GroupOperation: members end in reverse, independent ones at once") {
  Story story{"", "", "ab", "c"};
  for (auto* fake : story.fakes) fake->runs = true;
  story['d'].ends = story['c'].ends = false;
  GroupOperation stop{story.members, End::stop};
  CHECK(story.round(stop) == "-d ");
  CHECK(story.round(stop).empty());
  story['d'].ends = true;
  CHECK(story.round(stop) == "-c ");
  story['c'].ends = true;
  CHECK(story.round(stop) == "-a -b ");
  CHECK(story.over);
}

TEST_CASE("GroupOperation: a failure ends those that the start has begun, in reverse") {
  Story story{"", "a", "a", "bc"};
  GroupOperation start{story.members, nullptr, for_ever};
  story['a'].is_ready = story['b'].is_ready = true;
  CHECK(story.round(start) == "+a a! +b b! +c ");
  story['c'].start_error = "c is broken";
  story['b'].ends = false;
  CHECK(story.round(start) == "-b ");
  story['b'].ends = true;
  CHECK_THROWS_WITH(story.round(start), "c is broken");
  CHECK(story.log == "-a ");
}

TEST_CASE("GroupOperation: a failure gives the other starts up, and is told itself") {
  Story story{"", ""};
  GroupOperation start{story.members, nullptr, for_ever};
  CHECK(story.round(start) == "+a +b ");
  story['a'].start_error = "a is broken";
  CHECK_THROWS_WITH(story.round(start), "a is broken");
  CHECK(story.log == "xb ");
}

TEST_CASE("GroupOperation: members that ran before a start are ready, and outlive its failure") {
  Story story{"", "a"};
  story['a'].runs = true;
  story['b'].start_error = "b is broken";
  GroupOperation start{story.members, nullptr, for_ever};
  CHECK_THROWS_WITH(story.round(start), "b is broken");
  CHECK(story.log == "+b ");
  CHECK(story['a'].runs);
}

TEST_CASE("GroupOperation: a member that dies fails those that start") {
  Story story{"", "a"};
  GroupOperation start{story.members, nullptr, for_ever};
  story['a'].is_ready = true;
  CHECK(story.round(start) == "+a a! +b ");
  story['a'].runs = false;
  story['a'].base().exit_code = 3;
  const auto text = test::message_of<mk::ProcessExitedWithError>([&] { story.round(start); });
  CHECK(text.find("exited with a non-zero code: 3 while others of its group started") == 0);
  CHECK(story.log == "xb -a ");
}

TEST_CASE("GroupOperation: a task that has ended with 0 is ready") {
  Story story{"", "a"};
  GroupOperation start{story.members, nullptr, for_ever};
  CHECK(story.round(start) == "+a ");
  story['a'].is_ready = true;
  story['a'].runs = false;
  CHECK(story.round(start) == "a! +b ");
  CHECK(story.round(start).empty());
  story['b'].is_ready = true;
  CHECK(story.round(start) == "b! ");
  CHECK(story.over);
}

TEST_CASE("GroupOperation: a cancelled start ends all, and throws the error of the cancellation") {
  Story story{"", "", "a"};
  GroupOperation start{story.members, nullptr, for_ever};
  story['a'].is_ready = true;
  CHECK(story.round(start) == "+a a! +b +c ");
  start.fail(std::make_exception_ptr(std::runtime_error{"cancelled"}));
  CHECK_THROWS_WITH(story.round(start), "cancelled");
  CHECK(story.log == "xb xc -a ");
}

TEST_CASE("GroupOperation: a cancelled stop goes over to SIGKILL") {
  Story story{"", "a"};
  for (auto* fake : story.fakes) fake->runs = true;
  story['b'].ends = false;
  GroupOperation stop{story.members, End::stop};
  CHECK(story.round(stop) == "-b ");
  stop.fail(std::make_exception_ptr(std::runtime_error{"hurry"}));
  CHECK(story.round(stop) == "9b ka ");
  CHECK(story.over);
}

TEST_CASE("GroupOperation: an error of a stop is thrown when all are gone") {
  Story story{"", "a"};
  for (auto* fake : story.fakes) fake->runs = true;
  story['b'].stop_error = "b ended badly";
  story['a'].stop_error = "a did so, too";
  GroupOperation stop{story.members, End::stop};
  CHECK_THROWS_WITH(story.round(stop), "b ended badly");
  CHECK(story.log == "-b -a ");
  CHECK_FALSE(story['a'].runs);
}

TEST_CASE("GroupOperation: a kill comes to all at once") {
  Story story{"", "a", "b"};
  for (auto* fake : story.fakes) fake->runs = true;
  for (auto* fake : story.fakes) fake->ends = false;
  GroupOperation kill{story.members, End::kill};
  CHECK(story.round(kill) == "ka kb kc ");
  for (auto* fake : story.fakes) fake->ends = true;
  CHECK(story.round(kill).empty());
  CHECK(story.over);
}

TEST_CASE("GroupOperation: a later member has the rest of the limit for all") {
  Story story{"", "a"};
  GroupOperation start{story.members, nullptr, 1h};
  story['a'].is_ready = true;
  story.round(start);
  CHECK(story['a'].limit <= 1h);
  CHECK(story['b'].limit <= story['a'].limit);
  CHECK(story['b'].limit > 50min);
}

TEST_CASE("GroupOperation: nothing is ready at once, and gone at once") {
  Story story{};
  GroupOperation start{story.members, nullptr, for_ever};
  CHECK(story.round(start).empty());
  CHECK(story.over);
  GroupOperation stop{story.members, End::stop};
  story.round(stop);
  CHECK(story.over);
}
