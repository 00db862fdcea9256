// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <exception>

#include <mirakuru/group/group.hpp>

namespace mirakuru {

MIRAKURU_DECL Group::~Group() {
  try {
    detail::run_end(members_, detail::End::destroy);
  } catch (...) {  // the members' own destructors tell their reporters
  }
  // Those that need others go first.
  while (!members_.empty()) members_.pop_back();
}

MIRAKURU_DECL void Group::prepare(std::source_location where) {
  detail::resolve_needs(members_);
  for (auto& member : members_) member.service->base().where = where;
}

MIRAKURU_DECL Group& Group::start(Duration timeout, std::source_location where) {
  prepare(where);
  detail::run_start(members_, timeout);
  return *this;
}

MIRAKURU_DECL Group& Group::end(detail::End how) {
  detail::resolve_needs(members_);
  detail::run_end(members_, how);
  return *this;
}

MIRAKURU_DECL bool Group::running() {
  return !members_.empty() && std::ranges::all_of(members_, [](detail::Member& member) {
    return member.service->alive() || (member.is_task && member.service->pid() != 0);
  });
}

MIRAKURU_DECL Group& Group::check_alive() {
  for (auto& member : members_) {
    auto& base = member.service->base();
    if (member.service->pid() == 0) base.throw_not_started();
    const bool lives = member.service->alive();
    const int code = base.exit_code.value_or(0);
    if (code != 0 || (!lives && !member.is_task)) base.throw_ended(detail::Clock::now());
  }
  return *this;
}

MIRAKURU_DECL GroupTimeline Group::timeline() const {
  GroupTimeline timeline;
  for (const auto& member : members_)
    timeline.members.push_back({member.service->base().command.text(), member.needs, member.began,
                                member.service->base().timeline, member.service->check_names(),
                                member.ready});
  return timeline;
}

}  // namespace mirakuru
