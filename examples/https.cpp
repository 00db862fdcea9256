// SPDX-License-Identifier: BSL-1.0
// How do I wait for a server that speaks TLS, with a certificate of the test's own?
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/tls.hpp>  // of mirakuru-tls, or mirakuru::tls: it needs OpenSSL

namespace mk = mirakuru;

int main() {
  const mk::FreePort port;
  const mk::TempDir dir{"https"};
  const auto key = dir / "key.pem", certificate = dir / "certificate.pem";
  mk::run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
           "-keyout", key, "-out", certificate});

  const auto url = "https://localhost:" + port.str() + "/";
  mk::Executor server{
      {"openssl", "s_server", "-accept", port, "-key", key, "-cert", certificate, "-www"},
      mk::HTTPSCheck{.url = url, .method = "GET", .ca_file = certificate}};  // it ignores HEAD
  server.start();

  // Without the file the certificate is refused; `.verify = false` takes any.
  server.wait_for(mk::HTTPSCheck{.url = url, .body = "TLSv1", .verify = false});
  std::cout << url << " answers\n";
}
