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

/// The far guardian is one shell program of three parts: functions that every one has, those of its
/// kind, and the processes. Variables come before it, each behind "mk_", as the login may have
/// exported shorter names: M the mark, U the value of mirakuru_uuid, D the directory, W the words,
/// N the program's name, L where it is looked up, S the last signals as "NUMBER:NAPS", B their
/// seconds, I not empty for a command that reads; functions `clean_up`, `prepare` with the umask
/// and limits, and `host` with the machine's name.
///
/// `now` sets mk_u, in seconds of no wall clock where there is another. A group may have zombies
/// alone, where nobody reaps. A process of another user cannot be asked by a signal.
inline constexpr char far_functions[] = R"sh(
say() { printf '\000mirakuru %s %s\n' "$mk_M" "$*" >&6; }
nap() { sleep 0.05 2>/dev/null || sleep 1; }
now() { IFS=. read -r mk_u mk_v </proc/uptime || mk_u=$(date +%s); }
send() { kill -s "$1" "-$mk_P" || kill -s "$1" -- "-$mk_P"; }
sig() { send "$1" || kill -s "$1" "$mk_P"; }
lives() { cat /proc/[0-9]*/stat | grep -q -e "^$mk_P (.*) [^XZ] " -e ") [^XZ] [0-9]* $mk_P "; }
group() { if [ -r /proc/self/stat ]; then lives; else sig 0; fi; }
calm() { now; if [ "$mk_u" -lt "$mk_A" ]; then kill -s 9 "$mk_C"; else mk_f=; fi; }
end() { kill -s ALRM "$mk_T"; "$1"; kill -s USR2 "$mk_T"; }
)sh";

/// The kind that has the command. A stop may find it paused, so that SIGCONT comes first. G is for
/// a grep that knows records which end with a null character, as that of busybox does not.
/// Processes may be born while one pass reads /proc, so that SIGKILL goes out until nobody is left.
inline constexpr char far_command[] = R"sh(
marked() {
  [ -n "$mk_U" ] || return 0
  if [ -n "$mk_G" ]; then
    grep -lzxF "mirakuru_uuid=$mk_U" /proc/[0-9]*/environ
  else
    head -c 1000000 /proc/[0-9]*/environ | tr '\000' '\n' |
      awk -v "mk_u=mirakuru_uuid=$mk_U" '/^==> / { f = $2 } $0 == mk_u { print f }'
  fi
}
alive() { group || [ -n "$(marked)" ]; }
rest() { for mk_f in $(marked); do mk_f=${mk_f#/proc/}; kill -s "$1" "${mk_f%/*}"; done; }
in_time() { now; [ "$mk_u" -lt "$mk_t" ]; }
step() { sig "$1"; while group && in_time; do nap; done; rest "$1"; }
kill_all() {
  mk_n=100
  while alive && [ "$mk_n" -gt 0 ]; do sig 9; rest 9; mk_n=$((mk_n - 1)); nap; done
}
finish() {
  exec 9>&-
  now; mk_t=$((mk_u + mk_B + 1))
  sig 18; rest 18
  for mk_s in $mk_S; do
    alive || break
    step "${mk_s%:*}" &
    mk_n=${mk_s#*:}
    while [ "$mk_n" -gt 0 ] && in_time && alive; do mk_n=$((mk_n - 1)); nap; done
  done
  clean_up
  kill_all
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
can_run() {
  if [ -n "$mk_D" ] && ! cd "$mk_D"; then
    mk_E=13
    [ -e "$mk_D" ] || mk_E=2
    [ ! -e "$mk_D" ] || [ -d "$mk_D" ] || mk_E=20
    say failed chdir "$mk_E"
    return 126
  fi
  look || { say failed execve "$mk_E"; return 127; }
  prepare || { say failed ulimit 1; return 126; }
}
runs() { say up "$mk_P" "$(host)"; }
ended() {
  [ "$1" -le 128 ] || [ "$1" -gt 192 ] || set -- $((128 - $1))
  say end "$1"
}
obey() {
  case $1 in
    s9) clean_up; sig 9; rest 9; kill_all 3<&- 9>&- & ;;
    s*) now; mk_t=$((mk_u + mk_B + 1)); step "${1#s}" 3<&- 9>&- & ;;
    l*) kill -s "${1#l}" "$mk_P" ;;
    p) sig 19; rest 19; say paused ;;
    c) sig 18; rest 18 ;;
    i*) printf '%s\n' "${1#i}" >&9 ;;
    e) exec 9>&- ;;
    g) (while alive && kill -s 0 "$mk_K"; do nap; done; say gone) 3<&- 9>&- & ;;
  esac
}
give() { printf %b "$1" >&9; say taken; }
lost() { kill -s 0 "$$" || mk_S=; finish; kill -s 9 "$mk_K"; }
leave() { if [ -n "$1" ]; then end clean_up; else end finish; fi; }
printf 'a\000b' | grep -qzxF b && mk_G=1
)sh";

/// The kind whose command has a far guardian of its own: it hands on each order.
inline constexpr char far_relay[] = R"sh(
finish() {
  exec 9>&-
  mk_n=$(((mk_B + 3) * 20))
  while [ "$mk_n" -gt 0 ] && group; do mk_n=$((mk_n - 1)); nap; done
  clean_up
  mk_n=100
  while group && [ "$mk_n" -gt 0 ]; do sig 9; mk_n=$((mk_n - 1)); nap; done
}
can_run() { :; }
runs() { :; }
ended() { say left "$1"; }
obey() { printf '%s\n' "$1" >&9; }
give() { printf '%s\n' "$1" >&9; }
lost() { kill -s 9 "$mk_K"; finish; }
leave() { end finish; }
mk_I=1
)sh";

/// Three processes run side by side, so that none ignores SIGINT as a background job does. The
/// first one starts the command, P, and tells its end. The second one, K, reads the orders, and
/// never waits for the command. The third one gives it the input.
///
/// T, below K, ends the command if no order comes for 10 s; an order is at least an empty line. T
/// is there when it has closed the output of its own. If the first shell, $$, was killed, T kills
/// the command: Slurm kills those that it finds, and keeps the orders of the others open. Without K
/// nobody reads the orders, and T ends the command at once. So T stays until the end.
///
/// SIGTERM ends the command as the end of the orders does: Slurm sends it to all processes of a
/// job. X remembers one that comes before that is possible. The processes begin with ignoring it,
/// so C is there to end by it meanwhile. C also has the pipe of the input, which the others open by
/// its name in /proc; a fifo in the directory Y takes its place where there is none. P is a process
/// of the first shell's group until it is executed. It is executed when T is there, by the first
/// line of its input: Slurm does not find the children of those that it has killed. P has the
/// writing end, too, until then, so that it waits for no other process to open the pipe.
inline constexpr char far_processes[] = R"sh(
exec 3<&0 4>&1 6>&2 2>/dev/null
mk_X= mk_r=
trap mk_X=1 HUP INT TERM
now; mk_A=$((mk_u + 2))
mk_C=$(: | { exec sleep 3 >/dev/null; } 3<&- 4>&- 6>&- & echo $!) || mk_X=1
mk_F=/proc/$mk_C/fd/0 mk_Y=
[ -p "$mk_F" ] || { mk_Y=$(mktemp -d) && mk_F=$mk_Y/in && mkfifo "$mk_F"; } || {
  say failed mkfifo 5
  rm -rf "$mk_Y"
  exit 125
}
trap '' HUP INT TERM
{
  exec 3<&- 5>&1 1>&4 4>&-
  (
    trap - HUP INT TERM
    mk_P=$(exec sh -c 'echo $PPID')
    can_run || exit
    echo "$mk_P" >&5 && read -r mk_l || exit
    [ -n "$mk_I" ] || exec </dev/null
    runs
    eval "exec setsid env $mk_W 2>&6 5>&- 6>&- 8>&-"
  ) 8<>"$mk_F" <"$mk_F"
  mk_R=$?
  trap '' PIPE
  exec 5>&-
  ended "$mk_R"
} | {
  trap 'mk_X=1 mk_r=1' HUP INT TERM
  exec 4>&- 9>&1 >/dev/null
  until read -r mk_P; do
    [ -n "$mk_r" ] || { calm; clean_up; exit 126; }
    mk_r=
  done
  exec </dev/null
  trap '' USR1 USR2 ALRM PIPE
  while mk_K=$(exec sh -c 'echo $PPID'); [ "$?" -gt 128 ]; do :; done
  while mk_T=$(
    trap '' HUP INT TERM
    (
      trap 'mk_n=0' USR1
      trap 'mk_n=-90000' ALRM
      trap 'kill -s 9 "$mk_c"; exit' USR2
      exec >/dev/null
      mk_n=0
      while kill -s 0 "$$" && kill -s 0 "$mk_K" && [ "$mk_n" -lt 10 ]; do
        mk_n=$((mk_n + 1))
        sleep 1 &
        mk_c=$!
        while kill -s 0 "$mk_c"; do wait "$mk_c"; done
      done
      lost
    ) 3<&- 6>&- 9>&- & echo $!
  ); [ "$?" -gt 128 ]; do :; done
  trap 'end finish; exit' HUP INT TERM
  read -r mk_u mk_v mk_f mk_n <"/proc/$mk_C/stat" || mk_f=
  calm && [ "$mk_f" != Z ] || mk_X=1
  [ -z "$mk_X" ] || kill -s TERM "$mk_K"
  echo "$mk_P" >&9
  mk_q=
  while [ -z "$mk_q" ] && IFS= read -r mk_l <&3; do
    [ "$mk_l" != q ] || mk_q=1
    obey "$mk_l"
    kill -s USR1 "$mk_T"
  done
  leave "$mk_q"
} | {
  trap '' PIPE
  exec 3<&- 4>&-
  [ -z "$mk_Y" ] || exec 9>"$mk_F"
  read -r mk_P
  if [ -n "$mk_Y" ]; then rm -rf "$mk_Y"; else exec 9>"/proc/$mk_P/fd/0"; fi
  echo >&9 && [ -n "$mk_I" ] || exit
  while IFS= read -r mk_l; do give "$mk_l"; done
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

  // Neither a word of cd nor looked up in CDPATH.
  const bool relative = !request.cwd.empty() && request.cwd[0] != '/';
  std::vector<std::string> env;
  if (request.clean_env) env.emplace_back("-i");
  // Not by the shell, which needs PATH, and whose names are words.
  if (!request.clean_env)
    for (const auto& name : request.unset) env.insert(env.end(), {"-u", name});
  env.emplace_back("--");  // a name may begin with a dash
  for (const auto& [name, value] : request.env) env.push_back(name + '=' + value);
  if (!relays && !request.id.empty() && !request.env.contains("mirakuru_uuid"))
    env.push_back("mirakuru_uuid=" + request.id);
  if (request.words.at(0).find('=') != std::string::npos)  // no variable of env
    env.insert(env.end(), {"sh", "-c", R"sh(exec "$0" "$@")sh"});
  env.insert(env.end(), request.words.begin(), request.words.end());

  const auto uuid = relays ? request.far->mark : make_uuid();
  const auto path = request.env.find("PATH");
  std::string script = "mk_M=" + uuid + " mk_U=" + quoted(request.id) +
                       " mk_D=" + quoted((relative ? "./" : "") + request.cwd) +
                       " mk_N=" + quoted(request.words.at(0)) +
                       " mk_S=" + quoted(last_signals(request)) +
                       " mk_B=" + std::to_string(std::min<long long>(seconds, 86'400)) +
                       " mk_I=" + (reads_input(request.in) ? "1\n" : "\n");
  script += "mk_W=" + quoted(quote_words(env)) + '\n';
  // The shell takes no field from an empty item at the end.
  script += "mk_L=" +
            (path != request.env.end() ? quoted(path->second + ':')
             : request.clean_env       ? "/bin:/usr/bin"
                                       : "$PATH:") +
            '\n';
  char digits[8];
  std::snprintf(digits, sizeof digits, "%04o", static_cast<unsigned>(own_umask()));
  script += std::string{"prepare() { umask "} + digits;
  for (const auto& limit : request.limits) script += " && { " + ulimit_of(limit) + "; }";
  script += "; }\nhost() { echo \"" + host + "\"; }\nclean_up() {\n:\n";
  for (const auto& command : request.clean_up)
    script += "timeout 10 " + quote_words(command) + " </dev/null >/dev/null\n";
  script += "}\n";
  script += far_functions;
  script += relays ? far_relay : far_command;
  script += far_processes;

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
