// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/output/streams.hpp>
#include <mirakuru/process.hpp>

namespace mirakuru {

MIRAKURU_DECL std::string Process::output() const { return streams_->output(); }
MIRAKURU_DECL std::string Process::err_output() const { return streams_->err_output(); }

}  // namespace mirakuru
