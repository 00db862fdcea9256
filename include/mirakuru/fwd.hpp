// SPDX-License-Identifier: BSL-1.0
#pragma once

// Forward declarations, the names of the executors, and the one place for the defaults.

namespace mirakuru {

// The class itself: executor.hpp.
template <class... Policies>
class Executor;

// What is run: command.hpp.
class Argv;
struct Command;
struct Shell;

// What a check is asked about, and what it answers: process.hpp.
class Process;
class Readiness;

// The axes' choices, one folder each.
struct GuardedSpawner;
struct CgroupSpawner;
struct DirectSpawner;
struct TimeoutBudget;
struct Signals;
class SignalLadder;
struct Capture;
struct Inherit;
struct Discard;
struct ToFile;
struct BannerCheck;
struct TCPCheck;
struct UnixSocketCheck;
struct HTTPCheck;
struct PidCheck;

/// Waits for nothing: the process has been started, and that is all.
using SimpleExecutor = Executor<>;
/// Ready when a line of its output matches.
using OutputExecutor = Executor<BannerCheck>;
/// Ready when the port accepts a connection.
using TCPExecutor = Executor<TCPCheck>;
/// Ready when the port accepts a connection and the URL then answers with the status.
using HTTPExecutor = Executor<TCPCheck, HTTPCheck>;
/// Ready when the Unix socket accepts a connection.
using UnixSocketExecutor = Executor<UnixSocketCheck>;
/// Ready when the pid file is there.
using PidExecutor = Executor<PidCheck>;

/// The policy of each axis that is left out; every executor's defaults are these.
struct Defaults {
  using Spawner = GuardedSpawner;
  using Budget = TimeoutBudget;
  using SignalStrategy = Signals;
  using Output = Capture;
};

}  // namespace mirakuru
