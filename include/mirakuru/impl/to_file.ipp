// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>

#include <mirakuru/output/to_file.hpp>

namespace mirakuru {

MIRAKURU_DECL OutputStreams ToFile::open() const {
  const auto append_to = [](const FileName& file) {
    constexpr int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC;
    return detail::owned(::open(file.str().c_str(), flags, 0666), ("open " + file.str()).c_str());
  };
  auto out = append_to(path);
  return {std::move(out), append_to(err_path.value_or(path)), keeps_output};
}

}  // namespace mirakuru
