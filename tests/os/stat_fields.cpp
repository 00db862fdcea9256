// SPDX-License-Identifier: BSL-1.0
#include <sys/types.h>
#include <cstdint>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/os/stat_fields.hpp>

using mirakuru::detail::ProcessStat;
using mirakuru::detail::Range;
using mirakuru::detail::stat_fields;

namespace {

/// The file's text from field 3 on. The value of a number's field is a thousand plus its place.
const std::string from_state =
    "S 1004 1005 1006 1007 -1 1009 1010 1011 1012 1013 1014 1015 1016 1017 1018 1019 1020 1021 1022"
    " 1023 1024 1025 1026 1027 1028 1029 1030 1031 1032 1033 1034 1035 1036 1037 1038 1039 1040"
    " 1041 1042 1043 1044 1045 1046 1047 1048 1049 1050 1051 1052\n";

ProcessStat fields(const std::string& text) { return stat_fields(text.c_str()); }

/// The text up to the first `field`, which is cut off, too.
std::string before(const std::string& field) {
  return "42 (sh) " + from_state.substr(0, from_state.find(field));
}

constexpr bool lives(char state, pid_t threads) {
  ProcessStat stat;
  stat.state = state;
  stat.threads = threads;
  return stat.lives();
}

}  // namespace

static_assert(!lives(0, 0));
static_assert(lives('?', 0));
static_assert(lives('R', 1));
static_assert(lives('T', 1));
static_assert(!lives('Z', 1));
static_assert(!lives('X', 1));
static_assert(lives('Z', 2));
static_assert(ProcessStat{}.is_ending());
static_assert(!ProcessStat{.state = 'R', .threads = 1, .flags = 0x400140}.is_ending());
static_assert(ProcessStat{.state = 'R', .threads = 1, .flags = 0x40014c}.is_ending());
static_assert(ProcessStat{.state = 'D', .threads = 1, .flags = 0x400340}.is_ending());

TEST_CASE("stat_fields: each value comes from its field") {
  const auto stat = fields("42 (sh) " + from_state);
  CHECK(stat.state == 'S');
  CHECK(stat.parent == 1004);
  CHECK(stat.group == 1005);
  CHECK(stat.session == 1006);
  CHECK(stat.flags == 1009);
  CHECK(stat.threads == 1020);
  CHECK(stat.started == 1022);
  CHECK(stat.arguments.begin == 1048);
  CHECK(stat.arguments.end == 1049);
  CHECK(stat.environment.begin == 1050);
  CHECK(stat.environment.end == 1051);
}

TEST_CASE("stat_fields: a name may have brackets and blanks in it") {
  for (const std::string name : {"", ")", "a) R 1 2 (b", "a b  c", ") Z 1", "((", "\n) X 7 7"}) {
    CAPTURE(name);
    const auto stat = fields("42 (" + name + ") " + from_state);
    CHECK(stat.state == 'S');
    CHECK(stat.parent == 1004);
    CHECK(stat.environment.end == 1051);
  }
}

TEST_CASE("stat_fields: a text that is cut has the fields up to there") {
  for (const std::string text : {"", "42", "42 (s", "42 (sh)", "42 (sh) "}) {
    CAPTURE(text);
    const auto stat = fields(text);
    CHECK(stat.state == 0);
    CHECK(stat.parent == 0);
    CHECK(stat.environment.end == 0);
  }
  CHECK(fields("42 (sh) R").state == 'R');
  CHECK(fields("42 (sh) R").parent == 0);

  const auto cut = fields(before(" 1020"));
  CHECK(cut.group == 1005);
  CHECK(cut.threads == 0);
  CHECK(cut.started == 0);
  CHECK(fields(before("51 1052")).environment.begin == 1050);
  CHECK(fields(before("51 1052")).environment.end == 10);
}

TEST_CASE("stat_fields: a number may have 64 bits") {
  auto text = from_state;
  text.replace(text.find("1022"), 4, "18446744073709551615");
  const auto stat = fields("42 (sh) " + text);
  CHECK(stat.started == UINT64_MAX);
  CHECK(stat.arguments.begin == 1048);
}

TEST_CASE("stat_fields: fields of a newer kernel change nothing") {
  const auto stat = fields("42 (sh) " + from_state + " 1053 1054 1055");
  CHECK(stat.parent == 1004);
  CHECK(stat.environment.end == 1051);
}

TEST_CASE("Range: it holds its begin and not its end") {
  const Range range{10, 12};
  CHECK_FALSE(range.holds(9));
  CHECK(range.holds(10));
  CHECK(range.holds(11));
  CHECK_FALSE(range.holds(12));
  CHECK_FALSE(Range{}.holds(0));
}
