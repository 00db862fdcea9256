// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stdexcept>
#include <utility>

#include <mirakuru/ready/exec.hpp>
#include <mirakuru/spawn/far/far_guardian.hpp>
#include <mirakuru/spawn/far/slurm.hpp>

namespace mirakuru {

namespace detail {

/// Another program of Slurm, beside srun.
inline std::string beside_srun(const std::string& srun, const char* name) {
  return srun.substr(0, srun.rfind('/') + 1) + name;  // npos + 1 is 0
}

/// Ends a step by its name. A signal to the step comes at once, while Slurm itself waits for
/// KillWait. A job that waits, or has no step, is cancelled as a whole. A step may be in another
/// job, which is the user's own: that has another name, and stays.
inline constexpr char end_job[] = R"sh(
"$1" -s -h -u "$(id -u)" -o '%i %j' | while read -r i j; do
  [ "$j" != "$0" ] || "$2" -s KILL "$i"
done
[ -n "$SLURM_JOB_ID" ] || exec "$2" --name="$0" --user="$(id -u)")sh";

/// Says why the job waits, and ends with 1. A controller whose queue is full takes no job, and srun
/// asks again.
inline constexpr char why_it_waits[] = R"sh(
[ -z "$SLURM_JOB_ID" ] && r=$("$1" -h -n "$0" -u "$(id -u)" -o '%T: %r') &&
  echo "${r:-no job of its name is in the queue}"
exit 1)sh";

/// Runs srun in the job that has the step of a name.
inline constexpr char within_job[] = R"sh(
j=$("$1" -s -h -u "$(id -u)" -o '%i %j' | while read -r i j; do
  [ "$j" != "$0" ] || echo "${i%%.*}"
done)
srun=$2
shift 2
exec "$srun" --jobid="${j:?}" --overlap "$@")sh";

/// The command with the variables for Slurm's programs, which are those of the request, such as
/// SLURM_CONF. The others are the job's alone.
inline std::vector<std::string> with_variables(const LaunchRequest& request,
                                               const std::vector<std::string>& words) {
  std::vector<std::string> all;
  for (const auto& name : request.unset)
    if (name.starts_with("SLURM")) all.insert(all.end(), {"-u", name});
  for (const auto& [name, value] : request.env)
    if (name.starts_with("SLURM")) all.push_back(name + '=' + value);
  if (!all.empty()) all.insert(all.begin(), "env");
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

/// The reasons of a job in the queue: the last words of a command.
class QueueProbe final : public Probe {
 public:
  QueueProbe(ResolvedCommand command, const Process& process)
      : here_{process.pid(), process.streams(), true, without_launcher(process.context())},
        check_{std::move(command)},
        probe_{check_.probe(here_)} {}

  Readiness poll(TimePoint now) override {
    const auto text = probe_->poll(now).reason();
    constexpr std::string_view before = "exited with 1: ";
    if (text.starts_with(before)) reason_ = text.substr(before.size());
    return not_ready(reason_);
  }
  void wait(TimePoint now, WaitSet& waits) const override { probe_->wait(now, waits); }

 private:
  /// The command runs here, not beside the service, nor in a directory of that machine.
  static ProbeContext without_launcher(ProbeContext context) {
    context.beside = nullptr;
    context.command = nullptr;
    return context;
  }

  Process here_;
  ExecCheck check_;
  std::unique_ptr<Probe> probe_;
  std::string reason_;
};

/// The words of srun up to the command, and those of the shell behind them.
inline std::vector<std::string> srun_words(const std::vector<std::string>& options) {
  std::vector<std::string> words{"--export=ALL", "--quiet", "--kill-on-bad-exit=1"};
  words.insert(words.end(), options.begin(), options.end());
  words.insert(words.end(), {"sh", "-c", far_shell});
  return words;
}

}  // namespace detail

MIRAKURU_DECL LaunchRequest Slurm::launch(LaunchRequest request) const {
  if (tasks < 1) throw std::invalid_argument{"Slurm needs one task at least"};
  if (cpus < 0) throw std::invalid_argument{"Slurm has a negative number of processors"};
  const auto name = detail::unit_name(request.id);
  const auto squeue = detail::beside_srun(program, "squeue");
  const auto scancel = detail::beside_srun(program, "scancel");
  std::vector<std::string> all{"--job-name=" + name, "--ntasks=" + std::to_string(tasks),
                               "--exact"};
  if (!partition.empty()) all.push_back("--partition=" + partition);
  if (cpus > 0) all.push_back("--cpus-per-task=" + std::to_string(cpus));
  if (!memory.empty()) all.push_back("--mem=" + memory);
  if (!time.empty()) all.push_back("--time=" + time);
  all.insert(all.end(), options.begin(), options.end());

  auto words = detail::srun_words(all);
  words.insert(words.begin(), program);
  words = detail::with_variables(request, words);
  const auto end =
      detail::with_variables(request, {"sh", "-c", detail::end_job, name, squeue, scancel});
  const Argv why{detail::with_variables(request, {"sh", "-c", detail::why_it_waits, name, squeue})};
  auto launched = detail::below_far_guardian(
      std::move(request), std::move(words), partition.empty() ? "Slurm" : "Slurm's " + partition,
      "$(" + detail::quote_words({detail::beside_srun(program, "sinfo")}) +
          R"sh( -h -n "$SLURMD_NODENAME" -o %o || echo "$SLURMD_NODENAME"))sh");
  launched.clean_up.push_back(end);
  launched.far->tasks = tasks;
  launched.far->why_not_yet = [why](const Process& process) {
    return std::make_shared<detail::QueueProbe>(why, process);
  };
  return launched;
}

MIRAKURU_DECL LaunchRequest Slurm::beside(LaunchRequest request, const std::string& id) const {
  const auto name = detail::unit_name(id);
  auto words = detail::srun_words({"--ntasks=1", "--nodes=1"});
  words.insert(words.begin(), {"sh", "-c", detail::within_job, name,
                               detail::beside_srun(program, "squeue"), program});
  words = detail::with_variables(request, words);
  return detail::below_far_guardian(std::move(request), std::move(words), "the job's node");
}

MIRAKURU_DECL GuardedProcess Slurm::spawn(const LaunchRequest& request) const {
  return GuardedSpawner{}.spawn(launch(request));
}

}  // namespace mirakuru
