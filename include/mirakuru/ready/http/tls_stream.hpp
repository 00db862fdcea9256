// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/http/exchange.hpp>
#include <mirakuru/ready/http/response.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru::detail {

struct TLSOptions {
  bool verify = true;
  std::string server_name;
  std::string ca_file = {};                // empty: the system's authorities
  std::string certificate = {}, key = {};  // empty: the client has none
};

/// A TLS client over a socket that does not block. OpenSSL reads and writes memory alone, so that
/// no SIGPIPE comes from it.
class TLSStream {
 public:
  static constexpr std::uint16_t default_port = 443;
  static constexpr const char *advice_for_none = "", *advice_for_400 = "";
  [[nodiscard]] static std::string advice(const Response&) { return {}; }

  explicit TLSStream(TLSOptions options) : options_{std::move(options)} {}

  /// Begins a connection. Its problems are told by the first write().
  void begin(int socket) {
    socket_ = socket;
    unsent_.clear();
    begin_.clear();
    ended_ = shook_hands_ = false;
    problem_ = open();
  }

  [[nodiscard]] StreamResult write(std::string_view bytes) {
    if (!problem_.empty()) return {StreamResult::failed, 0, problem_};
    // A long request goes on when the last piece of it has gone.
    if (const int broken = flush(); broken == 0 && !unsent_.empty()) return {StreamResult::wait};
    return run([&] { return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())); });
  }
  [[nodiscard]] StreamResult read(std::span<char> buffer) {
    return run(
        [&] { return SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size())); });
  }
  /// Tells the server that the connection is not needed any more.
  void finish() {
    if (!shook_hands_ || ended_) return;
    SSL_shutdown(ssl_.get());
    flush();
    ERR_clear_error();
  }
  /// True when it waits until it can send.
  [[nodiscard]] bool sending() const noexcept { return !unsent_.empty(); }

 private:
  template <auto free>
  struct Free {
    template <class T>
    void operator()(T* object) const noexcept {
      free(object);
    }
  };

  /// The values that differ in a file and a later one of its name.
  struct FileState {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::time_t seconds = 0;
    long nanoseconds = 0;

    bool operator==(const FileState&) const = default;
    [[nodiscard]] static FileState of(const std::string& path) {
      struct stat state;
      if (path.empty() || ::stat(path.c_str(), &state) != 0) return {};
      return {state.st_dev, state.st_ino, state.st_size, state.st_mtim.tv_sec,
              state.st_mtim.tv_nsec};
    }
  };

  /// Reads the certificates, the first time and when their files have changed. Returns the problem;
  /// empty for none.
  std::string read_files() {
    const std::array files{FileState::of(options_.ca_file), FileState::of(options_.certificate),
                           FileState::of(options_.key)};
    if (context_ && files == files_) return {};
    files_ = files;
    std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> made{SSL_CTX_new(TLS_client_method())};
    context_.reset();
    auto* const context = made.get();
    if (context == nullptr) return reason("cannot begin TLS");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE);
    // Without this OpenSSL asks for it at the terminal, for ever.
    SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
    SSL_CTX_set_verify(context, options_.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    const char* const ca_file = options_.ca_file.c_str();
    if (options_.verify && options_.ca_file.empty()) SSL_CTX_set_default_verify_paths(context);
    if (options_.verify && !options_.ca_file.empty() &&
        SSL_CTX_load_verify_locations(context, ca_file, nullptr) != 1)
      return reason("cannot use the CA file " + options_.ca_file);
    if (!options_.certificate.empty() &&
        SSL_CTX_use_certificate_chain_file(context, options_.certificate.c_str()) != 1)
      return reason("cannot use the certificate " + options_.certificate);
    if (!options_.key.empty() &&
        SSL_CTX_use_PrivateKey_file(context, options_.key.c_str(), SSL_FILETYPE_PEM) != 1)
      return reason("cannot use the key " + options_.key);
    context_ = std::move(made);
    return {};
  }

  /// Returns the problem; empty for none.
  std::string open() {
    ssl_.reset();
    ERR_clear_error();
    if (auto problem = read_files(); !problem.empty()) return problem;
    BIO* const in = BIO_new(BIO_s_mem());
    BIO* const out = BIO_new(BIO_s_mem());
    ssl_.reset(SSL_new(context_.get()));
    if (!ssl_ || in == nullptr || out == nullptr) {
      BIO_free(in);
      BIO_free(out);
      ssl_.reset();
      return reason("cannot begin TLS");
    }
    SSL_set_bio(ssl_.get(), in, out);  // which owns both
    BIO_set_mem_eof_return(in, -1);    // more may come
    SSL_set_connect_state(ssl_.get());
    auto name = options_.server_name.substr(0, options_.server_name.find('%'));
    if (name.ends_with('.')) name.pop_back();
    std::array<unsigned char, 16> address{};
    if (::inet_pton(AF_INET, name.c_str(), address.data()) == 1 ||
        ::inet_pton(AF_INET6, name.c_str(), address.data()) == 1) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), name.c_str());
    } else {
      // SSL_set_tlsext_host_name() is a macro with a cast of the old style.
      SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
      SSL_set1_host(ssl_.get(), name.c_str());
    }
    return {};
  }

  /// The first reason that OpenSSL has kept.
  static std::string reason(const std::string& step) {
    const auto code = ERR_get_error();
    ERR_clear_error();
    // A file that is missing is an error of the system.
    const bool of_system = ERR_GET_LIB(code) == ERR_LIB_SYS;
    const char* const text = of_system ? nullptr : ERR_reason_error_string(code);
    if (of_system)
      return step + ": " +
             reason_text({static_cast<int>(ERR_GET_REASON(code)), std::generic_category()});
    return step + ": " + (text != nullptr ? text : "unknown reason");
  }

  /// Goes on with `call` until it has succeeded, waits for the socket, or has failed.
  template <class Call>
  StreamResult run(Call call) {
    constexpr int most_fills = 64;  // a server may send records without content for ever
    for (int i = 0; i < most_fills; ++i) {
      ERR_clear_error();
      const int result = call();
      const int kind = SSL_get_error(ssl_.get(), result);
      const int broken = flush();
      shook_hands_ |= result > 0 || SSL_is_init_finished(ssl_.get()) == 1;
      if (result > 0) return {StreamResult::done, static_cast<std::size_t>(result)};
      if (kind == SSL_ERROR_ZERO_RETURN) return {StreamResult::end};
      if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE) return failure();
      if (ended_) return end();
      if (fill()) continue;  // an alert may have come before the connection broke
      if (broken != 0) return {StreamResult::failed, 0, text_of(broken)};
      return {StreamResult::wait};
    }
    return {StreamResult::later};
  }

  /// Sends all that it can. Returns an errno value; 0 also when the socket has no room.
  int flush() {
    std::array<char, 4096> bytes;
    BIO* const out = SSL_get_wbio(ssl_.get());
    for (int size; (size = BIO_read(out, bytes.data(), bytes.size())) > 0;)
      unsent_.append(bytes.data(), static_cast<std::size_t>(size));
    while (!unsent_.empty()) {
      const ssize_t size = ::send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
      if (size < 0) return errno == EAGAIN ? 0 : std::exchange(errno, 0);
      unsent_.erase(0, static_cast<std::size_t>(size));
    }
    return 0;
  }
  /// Reads as much as is there. False if nothing is.
  bool fill() {
    std::array<char, 4096> bytes;
    const ssize_t size = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (size < 0 && errno == EAGAIN) return false;
    if (size <= 0) {
      ended_ = true;
      if (size < 0) problem_ = text_of(errno);
      BIO_set_mem_eof_return(SSL_get_rbio(ssl_.get()), 0);
      return true;
    }
    const std::string_view piece{bytes.data(), static_cast<std::size_t>(size)};
    if (begin_.size() < longest_begin) begin_ += piece.substr(0, longest_begin - begin_.size());
    BIO_write(SSL_get_rbio(ssl_.get()), piece.data(), static_cast<int>(piece.size()));
    return true;
  }

  /// The connection has ended. Many servers do so without a TLS end.
  StreamResult end() {
    if (!problem_.empty()) return {StreamResult::failed, 0, problem_};
    if (shook_hands_) return {StreamResult::end};
    return {StreamResult::failed, 0, "closed in the TLS handshake (does the port speak TLS?)"};
  }

  StreamResult failure() {
    const auto fail = [](std::string problem) {
      ERR_clear_error();  // the thread's, which the program may look at
      return StreamResult{StreamResult::failed, 0, std::move(problem)};
    };
    if (!shook_hands_ && !begin_.empty() && !is_record(begin_.front())) {
      if (begin_.starts_with("HTTP/")) return fail("the port speaks plain HTTP, not TLS");
      return fail("the port does not speak TLS, as it seems: it answered '" + one_line(begin_) +
                  "'");
    }
    const auto code = ERR_peek_error();
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
      return fail(refusal());
    if (ended_) return end();
    return fail(reason("TLS"));
  }

  /// The types of records: RFC 8446, B.1.
  static bool is_record(char byte) { return byte >= 20 && byte <= 23; }

  [[nodiscard]] std::string refusal() const {
    const auto verified = SSL_get_verify_result(ssl_.get());
    auto text =
        std::string{"the certificate is refused: "} + X509_verify_cert_error_string(verified);
    switch (verified) {
      case X509_V_ERR_HOSTNAME_MISMATCH:
      case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return text + " (asked for " + options_.server_name + "; give .server_name)";
      case X509_V_ERR_CERT_HAS_EXPIRED:
      case X509_V_ERR_CERT_NOT_YET_VALID:
        return text + " (.verify = false takes it)";
      default:
        return text + (options_.ca_file.empty()
                           ? " (give .ca_file, or .verify = false)"
                           : " (by " + options_.ca_file + "; .verify = false takes it)");
    }
  }
  static std::string text_of(int error) { return reason_text({error, std::generic_category()}); }

  TLSOptions options_;
  std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> context_;
  std::array<FileState, 3> files_;  // as the context has them
  std::unique_ptr<SSL, Free<SSL_free>> ssl_;
  int socket_ = -1;
  std::string unsent_;
  std::string problem_;
  static constexpr std::size_t longest_begin = 60;
  std::string begin_;   // of all that has come
  bool ended_ = false;  // the peer sends no more
  bool shook_hands_ = false;
};

}  // namespace mirakuru::detail
