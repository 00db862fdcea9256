// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stdexcept>
#include <utility>

#include <mirakuru/detail/file_name.hpp>
#include <mirakuru/error.hpp>

namespace mirakuru {

MIRAKURU_DECL FileName::FileName(std::string name) : name_{std::move(name)} {
  if (name_.empty() || name_.find('\0') != std::string::npos)
    throw std::invalid_argument{"not a file name: '" + detail::one_line(name_) + "'"};
}

}  // namespace mirakuru
