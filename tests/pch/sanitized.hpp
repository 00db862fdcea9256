// SPDX-License-Identifier: BSL-1.0
// The other forms find a test that includes too little, so these builds may save time.
#include "tests.hpp"

#include <mirakuru.hpp>
