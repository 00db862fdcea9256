// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/guarded.hpp>

namespace mirakuru {

/// Runs the command as a job of Slurm: `Slurm{.partition = "debug"}`. Within an allocation it is a
/// step of that.
///
/// `spawned_host` is the address of its node. While the job waits in the queue, its state and the
/// reason are the last answer of the start. Output comes line by line; `--unbuffered` among the
/// options changes that, and makes standard output a terminal there. Input takes a round trip of
/// srun for 800 bytes, or 4,000 of text: some 15 and 60 kB a second. The environment of this
/// process goes there, as always with srun. The rest is as for `Ssh`, with a shell on each node.
///
/// `stop()` and the owner's death end the tree there. A job that has not ended by that is cancelled
/// by its name. If the guardian is killed, the far side ends after 10 s of silence, and a job that
/// waits in the queue stays there. An `ExecCheck` runs on a node of the same job. Within an
/// allocation, Slurm may keep the entry of a step that was ended before its launch: it has no
/// process, and goes with the allocation.
///
/// Rests on srun(1), squeue(1), scancel(1) and sinfo(1), from the directory of `program`.
struct Slurm {
  static constexpr Guarantee guarantee = Guarantee::far_group_ends_with_connection;
  static constexpr bool runs_here = false, executes_later = true;

  std::string partition = {};  ///< empty: the default one
  int tasks = 1;               ///< 1 or more; with several, the output of all comes together
  int cpus = 0;                ///< for each task; 0: the partition's default
  std::string memory = {};     ///< for each node, such as "500M"; empty: the default
  std::string time = {};       ///< the job's limit, such as "10:00"; empty: the default
  std::vector<std::string> options = {};  ///< further words for srun
  std::string program = "srun";

  /// The request that runs srun. Throws `SpawnFailure` for one that cannot go there.
  [[nodiscard]] LaunchRequest launch(LaunchRequest request) const;
  /// The request for a run on a node of the job of the service with this id.
  [[nodiscard]] LaunchRequest beside(LaunchRequest request, const std::string& id) const;
  /// Starts srun, and returns when that is executed. Throws as `GuardedSpawner` does.
  [[nodiscard]] GuardedProcess spawn(const LaunchRequest& request) const;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/far/slurm.ipp>
#endif
