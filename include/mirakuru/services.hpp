// SPDX-License-Identifier: BSL-1.0
#pragma once

// Services that are ready-made: a server of a test's own, in one line.

#include <mirakuru/services/postgres.hpp>
#include <mirakuru/services/redis.hpp>
