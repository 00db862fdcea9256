// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is no template is declared in a header and defined in the .ipp file beside it. By default
// the header includes that file; with MIRAKURU_SEPARATE_COMPILATION one source file includes
// <mirakuru/src.hpp> instead, as Asio does it.
#if defined(MIRAKURU_SEPARATE_COMPILATION)
#define MIRAKURU_DECL
#else
#define MIRAKURU_DECL inline
#endif

// A sanitizer's code looks into tables of its own, which a part of this library has to know.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MIRAKURU_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer) || __has_feature(safe_stack)
#define MIRAKURU_SANITIZED 1
#endif
#endif
