// SPDX-License-Identifier: BSL-1.0
#pragma once

// The things that a test needs around a service: ports, directories, templates, commands.

#include <mirakuru/kit/dir_cache.hpp>
#include <mirakuru/kit/free_port.hpp>
#include <mirakuru/kit/render.hpp>
#include <mirakuru/kit/run.hpp>
#include <mirakuru/kit/temp_dir.hpp>
