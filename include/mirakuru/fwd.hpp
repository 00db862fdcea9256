// SPDX-License-Identifier: BSL-1.0
#pragma once

// Forward declarations, the names of the executors, and the one place for the defaults.

namespace mirakuru {

// The class itself: executor.hpp.
template <class... Policies>
class Executor;

// Several executors: group.hpp.
class AnyExecutor;
class Group;

// The command to run: command.hpp.
class Argv;
struct Command;
struct Shell;

// A check's argument and its answer: process.hpp.
class Process;
class Readiness;

// The policies, one folder for each axis.
struct GuardedSpawner;
struct CgroupSpawner;
struct DirectSpawner;
struct TimeoutBudget;
struct Signals;
class SignalLadder;
struct StopByInput;
struct StopByCommand;
struct HeldOpen;
struct NoInput;
struct InputText;
struct InputFile;
struct Capture;
struct Inherit;
struct Discard;
struct ToFile;
struct Tee;
struct Pty;
struct Limits;
struct Unlimited;
struct BannerCheck;
struct TCPCheck;
struct UnixSocketCheck;
struct HTTPCheck;
struct PidCheck;
struct LogFileCheck;
struct ExitCheck;
struct ExecCheck;
struct TalkCheck;
struct NotifyCheck;
struct FdCheck;
template <class... Checks>
class AnyOf;
template <class... Checks>
class AllOf;
template <class Check>
class StableFor;
template <class Check>
class Within;
template <class Check>
class FailsOn;
struct ReportToStderr;
struct Silent;
struct PostMortem;
struct NoPostMortem;
struct Shared;
struct NotShared;

/// Ready as soon as the process has been spawned.
using SimpleExecutor = Executor<>;
/// Ready when a line of the output matches.
using OutputExecutor = Executor<BannerCheck>;
/// Ready when the port accepts a connection.
using TCPExecutor = Executor<TCPCheck>;
/// Ready when the port accepts a connection, and then the URL answers with the status.
using HTTPExecutor = Executor<TCPCheck, HTTPCheck>;
/// Ready when the Unix socket accepts a connection.
using UnixSocketExecutor = Executor<UnixSocketCheck>;
/// Ready when the pid file exists.
using PidExecutor = Executor<PidCheck>;

/// The default policy of each axis. Every executor uses it if no other one is given.
struct Defaults {
  using Spawner = GuardedSpawner;
  using Budget = TimeoutBudget;
  using SignalStrategy = Signals;
  using Input = HeldOpen;
  using Output = Capture;
  using Limits = Unlimited;
  using Reporter = ReportToStderr;
  using PostMortem = NoPostMortem;
  using Sharing = NotShared;
};

}  // namespace mirakuru
