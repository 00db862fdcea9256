// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include <mirakuru/command.hpp>
#include <mirakuru/spawn/far/far_guardian.hpp>
#include <mirakuru/spawn/far/ssh.hpp>

namespace mirakuru {

MIRAKURU_DECL LaunchRequest Ssh::launch(LaunchRequest request) const {
  if (host.empty())
    throw SpawnFailure{"cannot run " + request.words.at(0) + " through " + program,
                       std::make_error_code(std::errc::invalid_argument), "Ssh needs a host"};
  std::vector<std::string> words{program, "-T"};
  words.insert(words.end(), options.begin(), options.end());
  for (const auto* option : {"BatchMode=yes", "ServerAliveInterval=2", "ServerAliveCountMax=3",
                             "ControlMaster=no", "ControlPath=none", "LogLevel=ERROR"})
    words.insert(words.end(), {"-o", option});
  if (!user.empty()) words.insert(words.end(), {"-l", user});
  // The login shell splits the last word, and any shell does it alike.
  words.insert(words.end(), {"--", host, "exec sh -c " + detail::quote_words({detail::far_shell})});
  const bool on_from_there = request.far.has_value();  // as a job of that host's Slurm
  auto launched = detail::below_far_guardian(std::move(request), std::move(words),
                                             user.empty() ? host : user + '@' + host);
  if (!on_from_there) launched.far->host = host;
  return launched;
}

MIRAKURU_DECL GuardedProcess Ssh::spawn(const LaunchRequest& request) const {
  return GuardedSpawner{}.spawn(launch(request));
}

}  // namespace mirakuru
