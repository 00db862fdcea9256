// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>

#include <mirakuru/output/to_file.hpp>

namespace mirakuru {

MIRAKURU_DECL OutputStreams ToFile::open() const {
  const auto append_to = [](const std::string& name) {
    constexpr int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC;
    return detail::owned(::open(name.c_str(), flags, 0666), ("open " + name).c_str());
  };
  auto out = append_to(path.str());
  return {std::move(out), append_to(err_path.empty() ? path.str() : err_path), keeps_output};
}

}  // namespace mirakuru
