// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>
#include <algorithm>
#include <stdexcept>
#include <string_view>

#include <mirakuru/spawn/far/far_guardian.hpp>
#include <mirakuru/spawn/far/podman.hpp>
#include <mirakuru/text/characters.hpp>

namespace mirakuru {

namespace detail {

/// The option `--ulimit` for a limit; empty for one that has no name there.
inline std::string ulimit_option(const ResourceLimit& limit) {
  const auto number = [](std::uint64_t value) {
    return value == RLIM_INFINITY ? "-1" : std::to_string(value);
  };
  const auto named = [&](const char* name) {
    return std::string{"--ulimit="} + name + '=' + number(limit.soft) + ':' + number(limit.hard);
  };
  switch (limit.resource) {
    case RLIMIT_NOFILE:
      return named("nofile");
    case RLIMIT_NPROC:
      return named("nproc");
    case RLIMIT_CPU:
      return named("cpu");
    case RLIMIT_CORE:
      return named("core");
    case RLIMIT_FSIZE:
      return named("fsize");
    case RLIMIT_DATA:
      return named("data");
    case RLIMIT_STACK:
      return named("stack");
    case RLIMIT_MEMLOCK:
      return named("memlock");
    default:
      return {};
  }
}

/// The words for the directory and the added variables. They leave the request, so that those of
/// the container do not steer Podman itself.
inline void move_surroundings(LaunchRequest& request, std::vector<std::string>& words) {
  if (!request.cwd.empty()) words.push_back("--workdir=" + request.cwd);
  for (const auto& [name, value] : request.env) words.push_back("--env=" + name + '=' + value);
  request.cwd.clear();
  request.env.clear();
  request.unset.clear();  // the container inherits nothing
  request.clean_env = false;
}

/// True for a text of whole characters. Source: RFC 3629, 4.
inline bool is_utf8(std::string_view text) {
  UTF8Place place = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const auto next = place_after(place, byte);
    const bool begins = place == 0 && (byte < 0x80 || next != 0);
    if (!begins && !continues_character(place, byte)) return false;
    place = next;
  }
  return place == 0;
}

/// The engine's own files hold words and variables as JSON, which changes other bytes silently.
inline void check_container(const LaunchRequest& request) {
  const auto refuse = [&](const char* thing) {
    throw SpawnFailure{"cannot run " + request.words.at(0) + " in a container",
                       std::make_error_code(std::errc::not_supported), thing};
  };
  if (!request.user.empty()) refuse("its users are its own; take the option --user");
  if (!request.descriptors.empty()) refuse("descriptors cannot be carried there");
  if (!std::ranges::all_of(request.words, is_utf8) || !is_utf8(request.cwd))
    refuse("a word that is not UTF-8 cannot be carried there");
  for (const auto& [name, value] : request.env)
    if (!is_utf8(name) || !is_utf8(value))
      refuse("a variable that is not UTF-8 cannot be carried there");
}

}  // namespace detail

MIRAKURU_DECL LaunchRequest Podman::launch(LaunchRequest request) const {
  if (image.empty() == rootfs.empty())
    throw std::invalid_argument{"Podman needs either an image or a root file system"};
  detail::check_container(request);
  const auto name = detail::unit_name(request.id);
  // The output is kept here: a log of the engine's own would grow without limit.
  std::vector<std::string> words{program, "run", "--rm", "--name=" + name, "--log-driver=none"};
  if (detail::reads_input(request.in)) words.emplace_back("--interactive");
  if (request.terminal) words.emplace_back("--tty");
  detail::move_surroundings(request, words);
  for (const auto& limit : request.limits)
    if (auto option = detail::ulimit_option(limit); !option.empty())
      words.push_back(std::move(option));
    else
      throw SpawnFailure{"cannot run " + request.words.at(0) + " in a container",
                         std::make_error_code(std::errc::not_supported),
                         "a limit cannot be carried there"};
  request.limits.clear();
  for (const auto& [here, there] : ports)
    words.push_back("--publish=" + std::to_string(here) + ':' + std::to_string(there));
  for (const auto& [here, there] : volumes) words.push_back("--volume=" + here + ':' + there);
  words.insert(words.end(), options.begin(), options.end());
  if (rootfs.empty())
    words.push_back(image);
  else
    words.insert(words.end(), {"--rootfs", rootfs});
  words.insert(words.end(), request.words.begin(), request.words.end());
  request.words = std::move(words);
  std::vector<std::string> remove{program, "rm", "--force"};
  // Podman waits ten seconds for the container unless it is told; docker does not know the option.
  if (program.find("docker", program.rfind('/') + 1) == std::string::npos)
    remove.emplace_back("--time=0");
  remove.push_back(name);
  request.clean_up.push_back(std::move(remove));
  return request;
}

MIRAKURU_DECL LaunchRequest Podman::beside(LaunchRequest request, const std::string& id) const {
  detail::check_container(request);
  std::vector<std::string> words{program, "exec"};
  detail::move_surroundings(request, words);
  words.push_back(detail::unit_name(id));
  words.insert(words.end(), request.words.begin(), request.words.end());
  request.words = std::move(words);
  request.limits.clear();
  return request;
}

MIRAKURU_DECL GuardedProcess Podman::spawn(const LaunchRequest& request) const {
  return GuardedSpawner{}.spawn(launch(request));
}

}  // namespace mirakuru
