// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is no template is declared in a header and defined in impl/*.ipp. By default the header
// includes that file; with MIRAKURU_SEPARATE_COMPILATION one source file includes
// <mirakuru/impl/src.hpp> instead, as Asio does it.
#if defined(MIRAKURU_SEPARATE_COMPILATION)
#define MIRAKURU_DECL
#else
#define MIRAKURU_DECL inline
#endif
