// SPDX-License-Identifier: BSL-1.0
#pragma once

// Catch2 shows the output of each service in a test that fails. A service that dies fails the test
// in which it does. `mk::test::Service` starts with the first test. Include this in one source file
// or more; with Catch2 2 before <catch2/catch.hpp>.

#if !defined(CATCH_VERSION_MAJOR)
#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_test_case_info.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/interfaces/catch_interfaces_capture.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#else
#if !defined(CATCH_CONFIG_EXTERNAL_INTERFACES)
#define CATCH_CONFIG_EXTERNAL_INTERFACES  // declares listeners
#endif
#include <catch2/catch.hpp>
#endif
#elif CATCH_VERSION_MAJOR == 2 && !defined(CATCH_CONFIG_EXTERNAL_INTERFACES)
#error "mirakuru: include <mirakuru/catch2.hpp> before <catch2/catch.hpp>"
#endif

#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>

#include <mirakuru/test/service.hpp>

namespace mirakuru::detail {

#if CATCH_VERSION_MAJOR == 2
using CatchListenerBase = Catch::TestEventListenerBase;
#else
using CatchListenerBase = Catch::EventListenerBase;
#endif

/// A pass through a test case, from the begin to the end of its outermost section, is a test.
class CatchListener : public CatchListenerBase {
 public:
  using CatchListenerBase::CatchListenerBase;

  static std::string getDescription() { return "shows the output of services"; }

  /// Prints a line as a warning of the test.
  static bool print(const std::string& line, bool in_test) {
    if (in_test) add(Catch::ResultWas::Warning, line);
    return in_test;
  }

  void testCaseStarting(const Catch::TestCaseInfo& test) override {
    CatchListenerBase::testCaseStarting(test);
    place() = &test.lineInfo;
    registry().begin_run();
  }
  void sectionStarting(const Catch::SectionInfo& section) override {
    CatchListenerBase::sectionStarting(section);
    if (depth_++ == 0) registry().begin_test();
  }
  // The reporters are still within the test here, and its result is open.
  void sectionEnded(const Catch::SectionStats& section) override {
    if (--depth_ == 0 && !crashed_) end_test(section.assertions.failed > 0);
    CatchListenerBase::sectionEnded(section);
  }
  void fatalErrorEncountered(Catch::StringRef error) override {
    CatchListenerBase::fatalErrorEncountered(error);
    crashed_ = true;
  }
  // Catch2 has computed the exit code before.
  void testRunEnded(const Catch::TestRunStats& run) override {
    CatchListenerBase::testRunEnded(run);
    if (crashed_) return;
    for (const auto& failure : registry().end_run())
      std::fprintf(stderr, "mirakuru: %s\n", failure.c_str());
  }

 private:
  static Registry& registry() { return Registry::instance(); }
  static const Catch::SourceLineInfo*& place() {
    static const Catch::SourceLineInfo* place = nullptr;
    return place;
  }

  void end_test(bool failed) {
    // There is no way to skip a test: each fails that runs.
    if (auto reason = registry().start_failure(); !reason.empty())
      add(Catch::ResultWas::ExplicitFailure, std::move(reason));
    for (auto& failure : registry().take_failures()) {
      add(Catch::ResultWas::ExplicitFailure, std::move(failure));
      failed = true;
    }
    if (failed)
      if (auto output = registry().output_of_test(); !output.empty())
        add(Catch::ResultWas::Warning, std::move(output));
    registry().end_test();
  }

  /// Adds an assertion to the test, and never throws as its macro does after `--abort`.
  static void add(Catch::ResultWas::OfType type, std::string text) {
    auto& capture = Catch::getResultCapture();
    const Catch::AssertionInfo info{Catch::StringRef{}, *place(), Catch::StringRef{},
                                    Catch::ResultDisposition::ContinueOnFailure};
    Catch::AssertionReaction reaction;
#if CATCH_VERSION_MAJOR > 2
    capture.notifyAssertionStarted(info);
#endif
    capture.handleMessage(info, type, std::move(text), reaction);
  }

  std::size_t depth_ = 0;
  bool crashed_ = false;  // within a signal handler
};

inline const bool listens_to_catch = [] {
#if CATCH_VERSION_MAJOR == 2
  const Catch::ListenerRegistrar<CatchListener> registrar;
#else
  const Catch::ListenerRegistrar<CatchListener> registrar{"mirakuru"};
#endif
  Registry::instance().install(&CatchListener::print);
  return true;
}();

}  // namespace mirakuru::detail
