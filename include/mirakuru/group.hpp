// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several executors at once.

#include <mirakuru/group/any_executor.hpp>
#include <mirakuru/group/group.hpp>
#include <mirakuru/group/start_all.hpp>
#include <mirakuru/group/timeline.hpp>
