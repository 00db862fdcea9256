// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/text/byte_classes.hpp>

using mirakuru::detail::ByteClasses;

namespace {

ByteClasses::Bytes bytes_of(const std::string& text) {
  ByteClasses::Bytes bytes;
  for (const char c : text) bytes.set(static_cast<unsigned char>(c));
  return bytes;
}

/// The class that a byte belongs to.
std::string class_of(const ByteClasses& classes, char byte) {
  for (const auto& members : classes.members())
    if (members.find(byte) != std::string::npos) return members;
  return "none";
}

}  // namespace

TEST_CASE("ByteClasses: all bytes are one class at first") {
  const auto members = ByteClasses{}.members();
  REQUIRE(members.size() == 1);
  CHECK(members[0].size() == 256);
}

TEST_CASE("ByteClasses: a set splits each class that is partly in it, and no other") {
  ByteClasses classes;
  classes.split(bytes_of("abc"));
  CHECK(classes.members().size() == 2);
  CHECK(class_of(classes, 'b') == "abc");
  classes.split(bytes_of("abc"));
  CHECK(classes.members().size() == 2);
  classes.split(bytes_of("bcd"));
  CHECK(class_of(classes, 'a') == "a");
  CHECK(class_of(classes, 'c') == "bc");
  CHECK(class_of(classes, 'd') == "d");
  CHECK(class_of(classes, 'e').size() == 252);
  classes.split(bytes_of(""));
  CHECK(classes.members().size() == 4);
}

TEST_CASE("ByteClasses: one byte is a class of its own, once") {
  ByteClasses classes;
  classes.split(bytes_of("x"));
  classes.split(bytes_of("x"));
  CHECK(classes.members().size() == 2);
  CHECK(class_of(classes, 'x') == "x");
  CHECK(class_of(classes, 'y').size() == 255);
}

TEST_CASE("ByteClasses: the bytes of UTF-8 are split by their places in a character") {
  ByteClasses classes;
  classes.split_by_place();
  CHECK(class_of(classes, 'a').size() == 128 + 13);  // ASCII, and bytes of no character
  CHECK(class_of(classes, '\xc2') == class_of(classes, '\xdf'));  // first of two
  CHECK(class_of(classes, '\xc2') != class_of(classes, '\xe1'));  // first of three
  CHECK(class_of(classes, '\xe0') == "\xe0");  // its second byte has bounds of its own
  CHECK(class_of(classes, '\x80') != class_of(classes, '\xa0'));  // after it
  std::string all;
  for (const auto& members : classes.members()) all += members;
  std::sort(all.begin(), all.end());
  CHECK(std::unique(all.begin(), all.end()) - all.begin() == 256);
}
