// SPDX-License-Identifier: BSL-1.0
#pragma once

// mirakuru: start the processes a test needs, return the moment they are really ready, and never
// leave one behind.

#include <mirakuru/command.hpp>
#include <mirakuru/concepts.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/executor.hpp>
#include <mirakuru/fwd.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/report/timeline.hpp>
#include <mirakuru/text/word.hpp>

// Several executors at once.
#include <mirakuru/group.hpp>
// How the process is made.
#include <mirakuru/spawn/cgroup.hpp>
#include <mirakuru/spawn/direct.hpp>
#include <mirakuru/spawn/far/over.hpp>
#include <mirakuru/spawn/far/podman.hpp>
#include <mirakuru/spawn/far/slurm.hpp>
#include <mirakuru/spawn/far/ssh.hpp>
#include <mirakuru/spawn/guarded.hpp>
// How long a start and a stop may take.
#include <mirakuru/budget/timeout.hpp>
// How the tree is ended.
#include <mirakuru/stop/by_command.hpp>
#include <mirakuru/stop/by_input.hpp>
#include <mirakuru/stop/ladder.hpp>
#include <mirakuru/stop/signals.hpp>
// Where standard input comes from.
#include <mirakuru/input/held_open.hpp>
#include <mirakuru/input/input_file.hpp>
#include <mirakuru/input/input_text.hpp>
#include <mirakuru/input/no_input.hpp>
// Where standard output and standard error go.
#include <mirakuru/output/capture.hpp>
#include <mirakuru/output/discard.hpp>
#include <mirakuru/output/inherit.hpp>
#include <mirakuru/output/pty.hpp>
#include <mirakuru/output/tee.hpp>
#include <mirakuru/output/to_file.hpp>
// Which programs use it.
#include <mirakuru/sharing/shared.hpp>
// How much it may use.
#include <mirakuru/limits/limits.hpp>
#include <mirakuru/limits/unlimited.hpp>
// What an error says of a service that has died.
#include <mirakuru/post_mortem/post_mortem.hpp>
// Who is told that something is slow or wrong.
#include <mirakuru/report/event.hpp>
#include <mirakuru/report/silent.hpp>
#include <mirakuru/report/to_stderr.hpp>
// When the service is ready.
#include <mirakuru/ready/composed/all_of.hpp>
#include <mirakuru/ready/composed/any_of.hpp>
#include <mirakuru/ready/composed/fails_on.hpp>
#include <mirakuru/ready/composed/stable_for.hpp>
#include <mirakuru/ready/composed/within.hpp>
#include <mirakuru/ready/exec.hpp>
#include <mirakuru/ready/exit.hpp>
#include <mirakuru/ready/file/banner.hpp>
#include <mirakuru/ready/file/log_file.hpp>
#include <mirakuru/ready/file/pid.hpp>
#include <mirakuru/ready/net/listen.hpp>
#include <mirakuru/ready/net/talk.hpp>
#include <mirakuru/ready/net/tcp.hpp>
#include <mirakuru/ready/net/unix_socket.hpp>
#include <mirakuru/ready/notification/fd.hpp>
#include <mirakuru/ready/notification/notify.hpp>
#if !defined(MIRAKURU_NO_HTTP)
#include <mirakuru/ready/http/http.hpp>
#endif
