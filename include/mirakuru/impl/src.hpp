// SPDX-License-Identifier: BSL-1.0
#ifndef MIRAKURU_IMPL_SRC_HPP
#define MIRAKURU_IMPL_SRC_HPP

// What is no template, for the one source file that compiles it when MIRAKURU_SEPARATE_COMPILATION
// is defined for the whole program.

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#error "mirakuru: <mirakuru/impl/src.hpp> is for MIRAKURU_SEPARATE_COMPILATION; define it"
#endif

#include <mirakuru.hpp>

#include <mirakuru/impl/address.ipp>
#include <mirakuru/impl/banner.ipp>
#include <mirakuru/impl/capture.ipp>
#include <mirakuru/impl/cgroup.ipp>
#include <mirakuru/impl/command.ipp>
#include <mirakuru/impl/direct.ipp>
#include <mirakuru/impl/discard.ipp>
#include <mirakuru/impl/ending.ipp>
#include <mirakuru/impl/error.ipp>
#include <mirakuru/impl/file_name.ipp>
#include <mirakuru/impl/guarded.ipp>
#include <mirakuru/impl/guardian.ipp>
#include <mirakuru/impl/line_matcher.ipp>
#include <mirakuru/impl/line_search.ipp>
#include <mirakuru/impl/listeners.ipp>
#include <mirakuru/impl/pattern.ipp>
#include <mirakuru/impl/pid.ipp>
#include <mirakuru/impl/proc.ipp>
#include <mirakuru/impl/process.ipp>
#include <mirakuru/impl/race.ipp>
#include <mirakuru/impl/service.ipp>
#include <mirakuru/impl/signal_schedule.ipp>
#include <mirakuru/impl/start_state.ipp>
#include <mirakuru/impl/streams.ipp>
#include <mirakuru/impl/tcp.ipp>
#include <mirakuru/impl/to_file.ipp>
#include <mirakuru/impl/unique_fd.ipp>
#include <mirakuru/impl/unix_socket.ipp>
#include <mirakuru/impl/uuid.ipp>
#include <mirakuru/impl/watch.ipp>
#if !defined(MIRAKURU_NO_HTTP)
#include <mirakuru/impl/http.ipp>
#endif

#endif
