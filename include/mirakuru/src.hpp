// SPDX-License-Identifier: BSL-1.0
#ifndef MIRAKURU_SRC_HPP
#define MIRAKURU_SRC_HPP

// All functions that are no templates. With MIRAKURU_SEPARATE_COMPILATION defined for the whole
// program, one source file includes this.

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#error "mirakuru: <mirakuru/src.hpp> is for MIRAKURU_SEPARATE_COMPILATION; define it"
#endif

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>
#include <mirakuru/test/service.hpp>

#include <mirakuru/budget/environment.ipp>
#include <mirakuru/command.ipp>
#include <mirakuru/engine/service_base.ipp>
#include <mirakuru/engine/shared_start.ipp>
#include <mirakuru/engine/start.ipp>
#include <mirakuru/engine/start_fsm.ipp>
#include <mirakuru/engine/stop.ipp>
#include <mirakuru/group/group.ipp>
#include <mirakuru/group/member.ipp>
#include <mirakuru/group/operation.ipp>
#include <mirakuru/group/timeline.ipp>
#include <mirakuru/kit/dir_cache.ipp>
#include <mirakuru/kit/free_port.ipp>
#include <mirakuru/kit/render.ipp>
#include <mirakuru/kit/temp_dir.ipp>
#include <mirakuru/net/address.ipp>
#include <mirakuru/net/holders.ipp>
#include <mirakuru/net/ports.ipp>
#include <mirakuru/net/rendezvous.ipp>
#include <mirakuru/net/socket_path.ipp>
#include <mirakuru/os/file_changes.ipp>
#include <mirakuru/os/nameless_file.ipp>
#include <mirakuru/os/unique_fd.ipp>
#include <mirakuru/output/output_file.ipp>
#include <mirakuru/post_mortem/post_mortem.ipp>
#include <mirakuru/ready/exec.ipp>
#include <mirakuru/ready/file/banner.ipp>
#include <mirakuru/ready/file/log_file.ipp>
#include <mirakuru/ready/file/pid.ipp>
#include <mirakuru/ready/net/listen.ipp>
#include <mirakuru/ready/net/talk.ipp>
#include <mirakuru/ready/net/tcp.ipp>
#include <mirakuru/ready/net/unix_socket.ipp>
#include <mirakuru/ready/notification/fd.ipp>
#include <mirakuru/ready/notification/notify.ipp>
#include <mirakuru/report/advice.ipp>
#include <mirakuru/report/error_context.ipp>
#include <mirakuru/report/event.ipp>
#include <mirakuru/report/to_stderr.ipp>
#include <mirakuru/services/postgres.ipp>
#include <mirakuru/services/postgres/cluster.ipp>
#include <mirakuru/services/postgres/database.ipp>
#include <mirakuru/services/postgres/programs.ipp>
#include <mirakuru/services/postgres/settings.ipp>
#include <mirakuru/services/redis.ipp>
#include <mirakuru/sharing/lease.ipp>
#include <mirakuru/spawn/cgroup.ipp>
#include <mirakuru/spawn/child.ipp>
#include <mirakuru/spawn/direct.ipp>
#include <mirakuru/spawn/far/far_guardian.ipp>
#include <mirakuru/spawn/far/podman.ipp>
#include <mirakuru/spawn/far/slurm.ipp>
#include <mirakuru/spawn/far/ssh.ipp>
#include <mirakuru/spawn/guarded.ipp>
#include <mirakuru/spawn/guardian/guardian.ipp>
#include <mirakuru/spawn/guardian/rest.ipp>
#include <mirakuru/spawn/launch.ipp>
#include <mirakuru/spawn/request.ipp>
#include <mirakuru/stop/schedule.ipp>
#include <mirakuru/test/registry.ipp>
#include <mirakuru/text/line_matcher.ipp>
#include <mirakuru/text/phrases.ipp>
#if !defined(MIRAKURU_NO_HTTP)
#include <mirakuru/ready/http/http.ipp>
#include <mirakuru/ready/http/request.ipp>
#endif

#endif
