// SPDX-License-Identifier: BSL-1.0
// Checks that a test makes up, with few members and with all.

#pragma once

#include <string>

#include <mirakuru/process.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace test {

/// The one member that a check must have.
struct Plain {
  bool operator()(const mirakuru::Process&) const { return false; }
};
/// All members that a check may have.
struct Full {
  std::string name;
  bool held = false;

  bool operator()(const mirakuru::Process&) const { return false; }
  std::string describe() const { return name; }
  bool already_true() const { return held; }
  std::string describe_conflict() const { return name + " is there"; }
  std::string hint(const mirakuru::Process&) const { return name + "'s hint"; }
  std::string quote(const mirakuru::Process&) const { return name + "'s line"; }
  void prepare(mirakuru::LaunchRequest& request) const { request.env[name] = "1"; }
};

}  // namespace test
