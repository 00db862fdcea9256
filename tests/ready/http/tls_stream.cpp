// SPDX-License-Identifier: BSL-1.0
// The client over a pair of sockets; the server is OpenSSL in this process.
#include <sys/socket.h>
#include <array>
#include <csignal>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/http/tls_stream.hpp>

using mirakuru::detail::StreamResult;
using mirakuru::detail::TLSStream;
using mirakuru::detail::UniqueFd;

namespace {

template <auto free>
struct Free {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;

Key make_key() {
  const std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>> context{
      EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nullptr)};
  EVP_PKEY* key = nullptr;
  REQUIRE(EVP_PKEY_keygen_init(context.get()) == 1);
  REQUIRE(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context.get(), NID_X9_62_prime256v1) == 1);
  REQUIRE(EVP_PKEY_keygen(context.get(), &key) == 1);
  return Key{key};
}

/// A certificate that its own key has signed.
Certificate sign(EVP_PKEY* key) {
  Certificate made{X509_new()};
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), key);
  const unsigned char name[] = "localhost";
  auto* const subject = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0);
  X509_set_issuer_name(made.get(), subject);
  REQUIRE(X509_sign(made.get(), key, EVP_sha256()) > 0);
  return made;
}

struct Ends {
  Ends() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    client = UniqueFd{fds[0]};
    server = UniqueFd{fds[1]};
  }
  void say(std::string_view text) const {
    REQUIRE(::send(server.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }

  UniqueFd client, server;
};

/// A server on one end of a pair of sockets.
class Server {
 public:
  explicit Server(int socket) : context_{SSL_CTX_new(TLS_server_method())} {
    const auto key = make_key();
    const auto certificate = sign(key.get());
    REQUIRE(SSL_CTX_use_certificate(context_.get(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context_.get(), key.get()) == 1);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket);
    SSL_set_accept_state(ssl_.get());
  }
  /// Goes on as far as it can. Returns all that it has read.
  std::string read() {
    std::array<char, 100> bytes{};
    std::string text;
    for (int size; (size = SSL_read(ssl_.get(), bytes.data(), bytes.size())) > 0;)
      text.append(bytes.data(), static_cast<std::size_t>(size));
    return text;
  }
  void write(std::string_view text) {
    REQUIRE(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) ==
            static_cast<int>(text.size()));
  }
  void finish() { SSL_shutdown(ssl_.get()); }
  /// True if the client has said that it sends no more.
  [[nodiscard]] bool has_heard_the_end() const {
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }

 private:
  std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, Free<SSL_free>> ssl_;
};

/// A client and a server that have shaken hands; "a request" has gone to the server.
struct Connected {
  explicit Connected(TLSStream& client) : stream{client} {
    stream.begin(ends.client.get());
    StreamResult result{StreamResult::wait};
    for (int rounds = 0; result.state == StreamResult::wait && rounds < 10; ++rounds) {
      result = stream.write("a request");
      server_has += server.read();
    }
    REQUIRE(result.state == StreamResult::done);
    REQUIRE(result.size == 9);
    server_has += server.read();
  }
  StreamResult read() {
    StreamResult result{StreamResult::later};
    for (std::array<char, 100> bytes{};
         result.state == StreamResult::later || result.state == StreamResult::done;) {
      result = stream.read(bytes);
      client_has.append(bytes.data(), result.size);
    }
    return result;
  }

  TLSStream& stream;
  Ends ends;
  Server server{ends.server.get()};
  std::string server_has, client_has;
};

/// The problem of a connection to a port that answers with `text`, and then ends.
std::string problem_after(const std::string& text) {
  Ends ends;
  TLSStream stream{{.verify = false, .server_name = "localhost"}};
  stream.begin(ends.client.get());
  CHECK(stream.write("a request").state == StreamResult::wait);
  if (!text.empty()) ends.say(text);
  std::array<char, 4096> hello{};
  CHECK(::recv(ends.server.get(), hello.data(), hello.size(), 0) > 0);
  CHECK(hello[0] == 22);  // a handshake: RFC 8446, B.1
  ends.server.reset();
  const auto result = stream.write("a request");
  CHECK(result.state == StreamResult::failed);
  return result.problem;
}

}  // namespace

TEST_CASE("TLSStream: bytes go both ways, and its end is told") {
  TLSStream stream{{.verify = false, .server_name = "localhost"}};
  Connected connection{stream};
  CHECK(connection.server_has == "a request");
  CHECK(connection.read().state == StreamResult::wait);
  connection.server.write("an answer");
  CHECK(connection.read().state == StreamResult::wait);
  CHECK(connection.client_has == "an answer");
  CHECK_FALSE(stream.sending());
  CHECK_FALSE(connection.server.has_heard_the_end());
  stream.finish();
  connection.server.read();
  CHECK(connection.server.has_heard_the_end());
}

TEST_CASE("TLSStream: a server ends with an alert, or without one") {
  TLSStream stream{{.verify = false, .server_name = "localhost"}};
  SUBCASE("with an alert") {
    Connected connection{stream};
    connection.server.write("the last");
    connection.server.finish();
    CHECK(connection.read().state == StreamResult::end);
    CHECK(connection.client_has == "the last");
  }
  SUBCASE("without one, as many servers do") {
    Connected connection{stream};
    connection.server.write("the last");
    connection.ends.server.reset();
    CHECK(connection.read().state == StreamResult::end);
    CHECK(connection.client_has == "the last");
  }
}

TEST_CASE("TLSStream: each connection begins anew") {
  TLSStream stream{{.verify = false, .server_name = "localhost"}};
  for (int i = 0; i < 2; ++i) CHECK(Connected{stream}.server_has == "a request");
}

TEST_CASE("TLSStream: a request that the socket does not take at once goes on later") {
  TLSStream stream{{.verify = false, .server_name = "localhost"}};
  Connected connection{stream};
  connection.server_has.clear();
  const std::string large(1 << 20, 'x');
  std::size_t sent = 0;
  bool waited = false;
  while (sent < large.size()) {
    const auto result = stream.write(std::string_view{large}.substr(sent));
    REQUIRE(result.state != StreamResult::failed);
    if (result.state == StreamResult::done) sent += result.size;
    waited |= stream.sending();
    if (result.state == StreamResult::wait) connection.server_has += connection.server.read();
  }
  CHECK(waited);
  while (stream.sending()) {
    connection.server_has += connection.server.read();
    CHECK(connection.read().state == StreamResult::wait);
  }
  connection.server_has += connection.server.read();
  CHECK(connection.server_has == large);
}

TEST_CASE("TLSStream: a port that speaks no TLS is named") {
  CHECK(problem_after("HTTP/1.1 400 Bad Request\r\n\r\n") == "the port speaks plain HTTP, not TLS");
  CHECK(problem_after("220 mail\n") ==
        "the port does not speak TLS, as it seems: it answered '220 mail\\n'");
  CHECK(problem_after("") == "closed in the TLS handshake (does the port speak TLS?)");
}

TEST_CASE("TLSStream: a certificate of nobody's is refused") {
  const Ends ends;
  TLSStream stream{{.server_name = "localhost"}};
  Server server{ends.server.get()};
  stream.begin(ends.client.get());
  StreamResult result{StreamResult::wait};
  for (int rounds = 0; result.state == StreamResult::wait && rounds < 10; ++rounds) {
    result = stream.write("a request");
    server.read();
  }
  CHECK(result.state == StreamResult::failed);
  CHECK(result.problem.starts_with("the certificate is refused: "));
  CHECK(result.problem.ends_with(" (give .ca_file, or .verify = false)"));
}

TEST_CASE("TLSStream: a file that is missing is named, and the socket gets nothing") {
  const auto problem = [](mirakuru::detail::TLSOptions options) {
    const Ends ends;
    TLSStream stream{std::move(options)};
    stream.begin(ends.client.get());
    const auto result = stream.write("a request");
    CHECK(result.state == StreamResult::failed);
    char byte = 0;
    CHECK(::recv(ends.server.get(), &byte, 1, 0) < 0);
    return result.problem;
  };
  CHECK(problem({.server_name = "h", .ca_file = "/no/ca"}) ==
        "cannot use the CA file /no/ca: no such file or directory");
  CHECK(problem({.server_name = "h", .certificate = "/no/pem"}) ==
        "cannot use the certificate /no/pem: no such file or directory");
  CHECK(problem({.server_name = "h", .key = "/no/key"}) ==
        "cannot use the key /no/key: no such file or directory");
}
