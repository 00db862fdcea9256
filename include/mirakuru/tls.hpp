// SPDX-License-Identifier: BSL-1.0
#pragma once

// Checks over TLS. They need OpenSSL 1.1.1 or later, which nothing else here needs: link the
// dependency mirakuru-tls, or libssl and libcrypto.

#include <mirakuru/ready/http/https.hpp>
