// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <stdexcept>

#include <mirakuru/group/member.hpp>

namespace mirakuru::detail {

/// Walks along the needs of a member. `path`: the members on the way to it.
inline void refuse_cycles(std::span<const Member> members, std::size_t at,
                          std::vector<std::size_t>& path, std::vector<bool>& is_good) {
  if (is_good[at]) return;
  const auto begin = std::ranges::find(path, at);
  if (begin != path.end()) {
    std::string text = "a cycle of needs: ";
    for (auto i = begin; i != path.end(); ++i)
      text += members[*i].service->base().command.text() + " needs ";
    throw std::invalid_argument{text + members[at].service->base().command.text()};
  }
  path.push_back(at);
  for (const auto need : members[at].needs) refuse_cycles(members, need, path, is_good);
  path.pop_back();
  is_good[at] = true;
}

MIRAKURU_DECL void resolve_needs(std::span<Member> members) {
  for (auto& member : members) {
    member.needs.clear();
    for (std::size_t i = 0; i < member.needed.size(); ++i) {
      const auto found = std::ranges::find_if(
          members, [&](const Member& other) { return &other.service->base() == member.needed[i]; });
      if (found == members.end())
        throw std::invalid_argument{member.service->base().command.text() + " needs " +
                                    member.needed_names[i] + ", which is not in the group"};
      member.needs.push_back(static_cast<std::size_t>(found - members.begin()));
    }
  }
  std::vector<std::size_t> path;
  std::vector<bool> is_good(members.size());
  for (std::size_t i = 0; i < members.size(); ++i) refuse_cycles(members, i, path, is_good);
}

}  // namespace mirakuru::detail
