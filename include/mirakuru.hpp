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
#include <mirakuru/timeline.hpp>

// How the process is made.
#include <mirakuru/spawn/cgroup.hpp>
#include <mirakuru/spawn/direct.hpp>
#include <mirakuru/spawn/guarded.hpp>
// How long a start and a stop may take.
#include <mirakuru/budget/timeout.hpp>
// By which signals the tree is ended.
#include <mirakuru/stop/ladder.hpp>
#include <mirakuru/stop/signals.hpp>
// Where standard output and standard error go.
#include <mirakuru/output/capture.hpp>
#include <mirakuru/output/discard.hpp>
#include <mirakuru/output/inherit.hpp>
#include <mirakuru/output/to_file.hpp>
// What an error says of a service that has died.
#include <mirakuru/post_mortem/post_mortem.hpp>
// Who is told that something is slow or wrong.
#include <mirakuru/report/event.hpp>
#include <mirakuru/report/silent.hpp>
#include <mirakuru/report/to_stderr.hpp>
// When the service is ready.
#include <mirakuru/ready/banner.hpp>
#include <mirakuru/ready/pid.hpp>
#include <mirakuru/ready/tcp.hpp>
#include <mirakuru/ready/unix_socket.hpp>
#if !defined(MIRAKURU_NO_HTTP)
#include <mirakuru/ready/http.hpp>
#endif
