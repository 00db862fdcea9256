// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>

#include <mirakuru/command.hpp>
#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/os/uuid.hpp>
#include <mirakuru/spawn/far/far_guardian.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

/// The far guardian. Variables come before it, each behind "mk_", as the login may have exported
/// shorter names: M the mark, U the value of mirakuru_uuid, D the directory, W the words, N the
/// program's name, L where it is looked up, S the last signals as "NUMBER:NAPS", B their seconds, I
/// not empty for a command that reads; functions `clean_up`, `prepare` with the umask and limits,
/// and `host` with the machine's name.
///
/// A group may have zombies alone, where nobody reaps. SIGTERM ends the command as the end of the
/// orders does: Slurm sends it to all processes of a job. Two processes run side by side, so that
/// neither ignores SIGINT as a background job does. The first one starts the command, P, and tells
/// its end. The second one reads the orders. T, below that, ends the command if no order comes for
/// 10 s; an order is at least an empty line. T is there when it has closed the output of its own.
/// G is for a grep that looks behind a null character, as that of busybox does not.
/// If the first shell, $$, was killed, T kills the command: Slurm kills those that it finds, and
/// keeps the orders of the others open. So T stays until the end. P is a process of the first
/// shell's group until it is executed.
inline constexpr char far_script[] = R"sh(
say() { printf '\000mirakuru %s %s\n' "$mk_M" "$*" >&6; }
nap() { sleep 0.05 2>/dev/null || sleep 1; }
marked() {
  [ -n "$mk_U" ] || return 0
  if [ -n "$mk_G" ]; then
    grep -lF "mirakuru_uuid=$mk_U" /proc/[0-9]*/environ
  else
    head -c 1000000 /proc/[0-9]*/environ | tr '\000' '\n' |
      awk -v "mk_u=mirakuru_uuid=$mk_U" '/^==> / { f = $2 } $0 == mk_u { print f }'
  fi
}
send() { kill -s "$1" "-$mk_P" || kill -s "$1" -- "-$mk_P"; }
sig() { send "$1" || kill -s "$1" "$mk_P"; }
group() { sig 0 && { [ ! -r /proc/self/stat ] || lives; }; }
lives() { cat /proc/[0-9]*/stat | grep -q -e "^$mk_P (.*) [^XZ] " -e ") [^XZ] [0-9]* $mk_P "; }
alive() { group || [ -n "$(marked)" ]; }
rest() { for mk_f in $(marked); do mk_f=${mk_f#/proc/}; kill -s "$1" "${mk_f%/*}"; done; }
step() { sig "$1"; while group && [ "$(date +%s)" -lt "$mk_t" ]; do nap; done; rest "$1"; }
end() { kill -s ALRM "$mk_T"; "$1"; kill -s USR2 "$mk_T"; }
finish() {
  [ -n "$mk_I" ] && exec 9>&-
  mk_t=$(($(date +%s) + mk_B + 1))
  for mk_s in $mk_S; do
    alive || break
    step "${mk_s%:*}" &
    mk_n=${mk_s#*:}
    while [ "$mk_n" -gt 0 ] && [ "$(date +%s)" -lt "$mk_t" ] && alive; do mk_n=$((mk_n - 1)); nap; done
  done
  clean_up
  mk_n=100
  while alive && [ "$mk_n" -gt 0 ]; do sig 9; rest 9; mk_n=$((mk_n - 1)); nap; done
}
look() {
  case $mk_N in
    */*) set -- "$mk_N" ;;
    *) IFS=:; set -f; set -- $mk_L; set +f; unset IFS; for mk_d; do shift; set -- "$@" "${mk_d:-.}/$mk_N"; done ;;
  esac
  mk_E=2
  for mk_f; do
    [ -e "$mk_f" ] || continue
    [ -f "$mk_f" ] && [ -x "$mk_f" ] && return 0
    mk_E=13
  done
  return 1
}
exec 3<&0 4>&1 6>&2 2>/dev/null
trap '' HUP INT TERM
printf 'a\000b' | grep -qF b && mk_G=1
mk_F=/dev/null
if [ -n "$mk_I" ]; then
  mk_F=$(mktemp -d) && mk_F=$mk_F/in && mkfifo -m 600 "$mk_F" || { say failed mkfifo 5; exit 125; }
fi
{
  exec 3<&- 5>&1 1>&4 4>&-
  (
    trap - HUP INT TERM
    mk_P=$(exec sh -c 'echo $PPID')
    if [ -n "$mk_D" ] && ! cd -- "$mk_D"; then
      mk_E=13
      [ -e "$mk_D" ] || mk_E=2
      [ ! -e "$mk_D" ] || [ -d "$mk_D" ] || mk_E=20
      say failed chdir "$mk_E"
      exit 126
    fi
    look || { say failed execve "$mk_E"; exit 127; }
    prepare || { say failed ulimit 1; exit 126; }
    echo "$mk_P" >&5
    say up "$mk_P" "$(host)"
    eval "exec setsid env $mk_W 2>&6 5>&- 6>&-"
  )
  mk_R=$?
  trap '' PIPE
  exec 5>&-
  [ "$mk_R" -le 128 ] || [ "$mk_R" -gt 192 ] || mk_R=$((128 - mk_R))
  say end "$mk_R"
} <"$mk_F" | {
  trap mk_X=1 HUP INT TERM
  if [ -n "$mk_I" ]; then
    exec 9>"$mk_F"
    rm -rf "${mk_F%/in}"
  fi
  exec 4>&- >/dev/null
  read -r mk_P || { clean_up; exit 126; }
  exec </dev/null
  trap '' USR1 USR2 ALRM PIPE
  mk_K=$(exec sh -c 'echo $PPID')
  mk_T=$( (
    trap 'mk_n=0' USR1
    trap 'mk_n=-90000' ALRM
    trap 'kill -s 9 "$mk_c"; exit' USR2
    trap '' HUP INT TERM
    exec >/dev/null
    mk_n=0
    while kill -s 0 "$$" && [ "$mk_n" -lt 10 ]; do
      mk_n=$((mk_n + 1))
      sleep 1 &
      mk_c=$!
      while kill -s 0 "$mk_c"; do wait "$mk_c"; done
    done
    kill -s 0 "$$" || mk_S=
    finish
    kill -s 9 "$mk_K"
  ) 3<&- 6>&- 9>&- & echo $!)
  trap 'end finish; exit' HUP INT TERM
  [ -z "$mk_X" ] || kill -s TERM "$mk_K"
  mk_q=
  while IFS= read -r mk_l <&3; do
    case $mk_l in
      s9) clean_up; sig 9; rest 9 ;;
      s*) mk_t=$(($(date +%s) + mk_B + 1)); step "${mk_l#s}" 3<&- 9>&- & ;;
      l*) kill -s "${mk_l#l}" "$mk_P" ;;
      p) sig 19; rest 19; say paused ;;
      c) sig 18; rest 18 ;;
      i*) printf %b "${mk_l#i}" >&9 ;;
      e) exec 9>&- ;;
      g) (while alive; do nap; done; say gone) 3<&- 9>&- & ;;
      q) mk_q=1; break ;;
    esac
    kill -s USR1 "$mk_T"
  done
  if [ -n "$mk_q" ]; then end clean_up; else end finish; fi
}
)sh";

/// The same for a command with a far guardian of its own: it hands on each order.
inline constexpr char relay_script[] = R"sh(
say() { printf '\000mirakuru %s %s\n' "$mk_M" "$*" >&6; }
nap() { sleep 0.05 2>/dev/null || sleep 1; }
send() { kill -s "$1" "-$mk_P" || kill -s "$1" -- "-$mk_P"; }
sig() { send "$1" || kill -s "$1" "$mk_P"; }
group() { sig 0 && { [ ! -r /proc/self/stat ] || lives; }; }
lives() { cat /proc/[0-9]*/stat | grep -q -e "^$mk_P (.*) [^XZ] " -e ") [^XZ] [0-9]* $mk_P "; }
end() { kill -s ALRM "$mk_T"; "$1"; kill -s USR2 "$mk_T"; }
finish() {
  exec 9>&-
  mk_n=$(((mk_B + 3) * 20))
  while [ "$mk_n" -gt 0 ] && group; do mk_n=$((mk_n - 1)); nap; done
  clean_up
  mk_n=100
  while group && [ "$mk_n" -gt 0 ]; do sig 9; mk_n=$((mk_n - 1)); nap; done
}
exec 3<&0 4>&1 6>&2 2>/dev/null
trap '' HUP INT TERM
mk_F=$(mktemp -d) && mk_F=$mk_F/in && mkfifo -m 600 "$mk_F" || exit 125
{
  exec 3<&- 5>&1 1>&4 4>&-
  (
    trap - HUP INT TERM
    mk_P=$(exec sh -c 'echo $PPID')
    echo "$mk_P" >&5
    eval "exec setsid env $mk_W 2>&6 5>&- 6>&-"
  )
  say left "$?"
} <"$mk_F" | {
  trap mk_X=1 HUP INT TERM
  exec 9>"$mk_F"
  rm -rf "${mk_F%/in}"
  exec 4>&- 6>&- >/dev/null
  read -r mk_P || exit 126
  exec </dev/null
  trap '' USR1 USR2 ALRM PIPE
  mk_K=$(exec sh -c 'echo $PPID')
  mk_T=$( (
    trap 'mk_n=0' USR1
    trap 'mk_n=-90000' ALRM
    trap 'kill -s 9 "$mk_c"; exit' USR2
    trap '' HUP INT TERM
    exec >/dev/null
    mk_n=0
    while kill -s 0 "$$" && [ "$mk_n" -lt 10 ]; do
      mk_n=$((mk_n + 1))
      sleep 1 &
      mk_c=$!
      while kill -s 0 "$mk_c"; do wait "$mk_c"; done
    done
    kill -s 9 "$mk_K"
    finish
  ) 3<&- 9>&- & echo $!)
  trap 'end finish; exit' HUP INT TERM
  [ -z "$mk_X" ] || kill -s TERM "$mk_K"
  while IFS= read -r mk_l <&3; do
    printf '%s\n' "$mk_l" >&9
    kill -s USR1 "$mk_T"
    [ "$mk_l" != q ] || break
  done
  end finish
}
)sh";

/// The words of `ulimit` for a limit; empty for one that it does not know in every shell.
inline std::string ulimit_of(const ResourceLimit& limit) {
  const auto known = [&](const char* option, std::uint64_t unit) {
    const auto number = [&](std::uint64_t value) {
      return value == RLIM_INFINITY ? "unlimited" : std::to_string(value / unit);
    };
    const auto soft = std::string{"ulimit -S"} + option + ' ' + number(limit.soft);
    const auto hard = std::string{"ulimit -H"} + option + ' ' + number(limit.hard);
    return "{ " + soft + " && " + hard + "; } || { " + hard + " && " + soft + "; }";
  };
  switch (limit.resource) {
    case RLIMIT_NOFILE:
      return known("n", 1);
    case RLIMIT_CPU:
      return known("t", 1);
    case RLIMIT_CORE:
      return known("c", 512);
    case RLIMIT_FSIZE:
      return known("f", 512);
    case RLIMIT_DATA:
      return known("d", 1024);
    case RLIMIT_STACK:
      return known("s", 1024);
    case RLIMIT_AS:
      return known("v", 1024);
    default:
      return {};
  }
}

/// umask(2) tells only by a change, which other threads would see. Rests on /proc/PID/status.
inline mode_t own_umask() {
  constexpr std::string_view field = "\nUmask:\t";
  char text[512];  // it is the second field
  const auto size = syscalls::read_file("/proc/self/status", text);
  const std::string_view status{text, static_cast<std::size_t>(size)};
  if (const auto at = status.find(field); at != status.npos)
    return static_cast<mode_t>(
        std::strtoul(std::string{status.substr(at + field.size(), 4)}.c_str(), nullptr, 8));
  const auto mask = ::umask(0);
  ::umask(mask);
  return mask;
}

MIRAKURU_DECL std::string unit_name(const std::string& id) {
  auto name = "mirakuru-" + id;
  std::ranges::replace_if(name, [](char c) { return !is_word(c) && c != '-'; }, '-');
  return name;
}

MIRAKURU_DECL bool reads_input(int fd) {
  struct stat status{};
  return fd >= 0 && ::fstat(fd, &status) == 0 &&
         !(S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(1, 3));
}

/// The last signals as the script has them: each with the number of naps of 50 ms behind it.
inline std::string last_signals(const LaunchRequest& request) {
  using namespace std::chrono_literals;
  const SignalSchedule schedule{request.steps, request.stop_budget, {}, request.head_start};
  const auto entries = schedule.entries();
  std::string text;
  TimePoint before = {};
  int signal = 0;
  for (const auto& entry : entries) {
    const auto naps = (entry.at - before) / 50ms;
    if (naps > 0 || signal != 0) text += std::to_string(signal) + ':' + std::to_string(naps) + ' ';
    signal = entry.signal;
    before = entry.at;
  }
  return text;
}

/// One line for `far_shell`.
inline std::string encoded(const std::string& script) {
  std::string line;
  for (const char c : script)
    if (c == '\\')
      line += "\\\\";
    else if (c == '\n')
      line += "\\n";
    else
      line += c;
  return line + '\n';
}

/// Throws for a request that no far guardian can fulfil.
inline void check_far(const LaunchRequest& request, const std::string& place) {
  const auto refuse = [&](const char* thing) {
    throw SpawnFailure{"cannot run " + request.words.at(0) + " on " + place,
                       std::make_error_code(std::errc::not_supported), thing};
  };
  if (!request.user.empty())
    refuse("the user of a command is its own machine's; log in as that one");
  if (request.terminal) refuse("a terminal cannot be carried there");
  if (!request.descriptors.empty()) refuse("descriptors cannot be carried there");
  for (const auto& limit : request.limits)
    if (ulimit_of(limit).empty()) refuse("a limit cannot be carried there");
}

MIRAKURU_DECL LaunchRequest below_far_guardian(LaunchRequest request,
                                               std::vector<std::string> words,
                                               const std::string& place, const std::string& host) {
  check_far(request, place);
  const auto quoted = [](std::string word) { return quote_words({std::move(word)}); };
  const bool relays = request.far.has_value();
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(request.stop_budget).count();

  std::vector<std::string> env;
  if (request.clean_env) env.emplace_back("-i");
  // Not by the shell, which needs PATH, and whose names are words.
  if (!request.clean_env)
    for (const auto& name : request.unset) env.insert(env.end(), {"-u", name});
  for (const auto& [name, value] : request.env) env.push_back(name + '=' + value);
  if (!relays && !request.id.empty() && !request.env.contains("mirakuru_uuid"))
    env.push_back("mirakuru_uuid=" + request.id);
  if (request.words.at(0).find('=') != std::string::npos)  // no variable of env
    env.insert(env.end(), {"sh", "-c", R"sh(exec "$0" "$@")sh"});
  env.insert(env.end(), request.words.begin(), request.words.end());

  const auto uuid = relays ? request.far->mark : make_uuid();
  const auto path = request.env.find("PATH");
  std::string script = "mk_M=" + uuid + " mk_U=" + quoted(request.id) +
                       " mk_D=" + quoted(request.cwd) + " mk_N=" + quoted(request.words.at(0)) +
                       " mk_S=" + quoted(last_signals(request)) +
                       " mk_B=" + std::to_string(std::min<long long>(seconds, 86'400)) +
                       " mk_I=" + (reads_input(request.in) ? "1" : "") + " mk_X=\n";
  script += "mk_W=" + quoted(quote_words(env)) + '\n';
  script += "mk_L=" +
            (path != request.env.end() ? quoted(path->second)
             : request.clean_env       ? "/bin:/usr/bin"
                                       : "$PATH") +
            '\n';
  char digits[8];
  std::snprintf(digits, sizeof digits, "%04o", static_cast<unsigned>(own_umask()));
  script += std::string{"prepare() { umask "} + digits;
  for (const auto& limit : request.limits) script += " && { " + ulimit_of(limit) + "; }";
  script += "; }\nhost() { echo \"" + host + "\"; }\nclean_up() {\n:\n";
  for (const auto& command : request.clean_up)
    script += "timeout 10 " + quote_words(command) + " </dev/null >/dev/null\n";
  script += "}\n";
  script += relays ? relay_script : far_script;

  if (relays)
    request.far->opening.insert(0, encoded(script));
  else
    request.far = FarCommand{encoded(script), uuid, request.words.at(0), request.cwd, place};
  request.words = std::move(words);
  // A launcher may hand on its environment, which must not mark the far guardian.
  if (!relays && !request.id.empty()) request.id.insert(0, "launcher/");
  request.cwd.clear();
  request.env.clear();
  request.unset.clear();
  request.clean_env = false;
  request.limits.clear();
  request.clean_up.clear();
  return request;
}

}  // namespace mirakuru::detail
