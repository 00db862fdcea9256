// SPDX-License-Identifier: BSL-1.0
#pragma once

// Non-template functions are declared in headers and defined in the .ipp files beside them. By
// default a header includes its .ipp file. With MIRAKURU_SEPARATE_COMPILATION one source file
// includes <mirakuru/src.hpp> instead. Asio has the same scheme.
#if defined(MIRAKURU_SEPARATE_COMPILATION)
#define MIRAKURU_DECL
#else
#define MIRAKURU_DECL inline
#endif

// A function with [[gnu::cold]] makes a text or an error, or runs once a start beside system calls
// that take much longer: the compiler saves size there, not time. It takes the call of one for
// unlikely, so no function is cold that users call on the way of a test that passes.

#if __cplusplus < 202002L
#error "mirakuru: needs C++20; compile with -std=c++20"
#endif
#if !defined(__cpp_exceptions)
#error "mirakuru: needs exceptions; do not compile with -fno-exceptions"
#endif

// Defined under a sanitizer: the guardian must not unmap its memory, nor be made by clone().
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MIRAKURU_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer) || __has_feature(safe_stack)
#define MIRAKURU_SANITIZED 1
#endif
#endif
