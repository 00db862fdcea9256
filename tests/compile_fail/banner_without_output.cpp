// SPDX-License-Identifier: BSL-1.0
// error: mirakuru: this readiness check reads the output, which the output policy does not keep;
// take Capture or ToFile
#include <mirakuru.hpp>

namespace mk = mirakuru;

#ifdef CONTROL
using Output = mk::Capture;
#else
using Output = mk::Discard;
#endif

mk::Executor executor{"server", mk::BannerCheck{"ready"}, Output{}};
