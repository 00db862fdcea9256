// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/tls.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "hostile.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::check_timeout;
using test::contains;
using test::in_time;
using test::message_of;

namespace {

/// An authority with a certificate for localhost and 127.0.0.1, and one for a client.
class Authority {
 public:
  Authority() {
    std::ofstream{dir / "names"} << "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
    openssl({"req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test authority", "-keyout",
             file("ca.key"), "-out", file("ca.pem")});
    issue("server", "2");
    issue("client", "2");
  }

  /// Makes NAME.pem and NAME.key.
  void issue(const std::string& name, const std::string& days) const {
    openssl({"req", "-nodes", "-subj", "/CN=" + name, "-keyout", file(name + ".key"), "-out",
             file(name + ".csr")});
    mk::run({"openssl", "x509", "-req", "-in", file(name + ".csr"), "-CA", file("ca.pem"), "-CAkey",
             file("ca.key"), "-CAcreateserial", "-days", days, "-extfile", file("names"), "-out",
             file(name + ".pem")});
  }
  [[nodiscard]] std::string file(const std::string& name) const { return (dir / name).string(); }

  mk::TempDir dir;

 private:
  static void openssl(std::vector<std::string> words) {
    words.insert(words.begin(), "openssl");
    words.insert(words.end(), {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"});
    mk::run(mk::Command{.argv = words});
  }
};

const Authority& authority() {
  static const Authority one;
  return one;
}

/// Words that run `openssl s_server`, which answers with a page.
template <class... Words>
std::vector<std::string> s_server(const test::Port& port, Words... more) {
  return {"openssl", "s_server",
          "-accept", "127.0.0.1:" + port.str(),
          "-www",    "-quiet",
          "-cert",   authority().file("server.pem"),
          "-key",    authority().file("server.key"),
          more...};
}

mk::HTTPSCheck check_of(const test::Port& port, const std::string& host = "localhost") {
  return {.url = "https://" + host + ":" + port.str() + "/",
          .method = "GET",
          .ca_file = authority().file("ca.pem")};
}

/// The service runs, and the check does not pass. A busy machine may need several tries.
void check_refused(const std::vector<std::string>& words, const mk::HTTPSCheck& check,
                   const std::string& reason) {
  mk::Executor server{words, static_cast<mk::TCPCheck>(check), in_time};
  std::string message;
  for (auto budget = 300ms; budget < 20s && !contains(message, reason); budget *= 2) {
    server.start();
    message =
        message_of<mk::TimeoutExpired>([&] { server.wait_for(check, budget); });  // it ends it
  }
  CAPTURE(message);
  CAPTURE(reason);
  CHECK(contains(message, "last answer: " + reason));
}

}  // namespace

TEST_CASE("HTTPSCheck: a server with a certificate of the authority is ready, by TLS 1.2 and 1.3") {
  for (const std::string version : {"-tls1_2", "-tls1_3"})
    for (const std::string host : {"localhost", "127.0.0.1"}) {
      CAPTURE(version + host);
      const test::Port port;
      mk::Executor server{s_server(port, version), check_of(port, host), in_time};
      CHECK_NOTHROW(server.start());
    }
}

TEST_CASE("HTTPSCheck: it derives a TCP check, and looks at the body") {
  const test::Port port;
  auto check = check_of(port);
  check.body = "Cipher";
  CHECK(check.describe() == "GET https://localhost:" + port.str() + "/ with a line with 'Cipher'");
  mk::Executor<mk::TCPCheck, mk::HTTPSCheck> server{s_server(port), check, in_time};
  CHECK_NOTHROW(server.start());
  CHECK(server.port() == port.number());
  check.body = "no such line";
  const auto message = message_of<mk::TimeoutExpired>([&] { server.wait_for(check, 500ms); });
  CHECK(contains(message, "last answer: HTTP 200, but its body has no line that matches: <HTML>"));
}

TEST_CASE("HTTPSCheck: TLS older than 1.2 is refused") {
  const test::Port port;
  check_refused(s_server(port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), check_of(port),
                "TLS: tlsv1 alert protocol version\n");
}

TEST_CASE("HTTPSCheck: a failed verification says why") {
  const test::Port port;
  auto unknown = check_of(port);
  unknown.ca_file.reset();
  check_refused(s_server(port), unknown,
                "the certificate is refused: unable to get local issuer certificate "
                "(give .ca_file, or .verify = false)\n");

  auto name = check_of(port);
  name.server_name = "example.org";
  check_refused(s_server(port), name,
                "the certificate is refused: hostname mismatch (asked for example.org; give "
                ".server_name)\n");
  if (test::has_ipv6())
    check_refused(
        {"openssl", "s_server", "-accept", "[::1]:" + port.str(), "-www", "-quiet", "-cert",
         authority().file("server.pem"), "-key", authority().file("server.key")},
        check_of(port, "[::1]"),
        "the certificate is refused: IP address mismatch (asked for ::1; give .server_name)\n");

  authority().issue("expired", "-1");
  const std::vector<std::string> expired{"openssl", "s_server",
                                         "-accept", "127.0.0.1:" + port.str(),
                                         "-www",    "-quiet",
                                         "-cert",   authority().file("expired.pem"),
                                         "-key",    authority().file("expired.key")};
  check_refused(expired, check_of(port),
                "the certificate is refused: certificate has expired (.verify = false takes it)\n");
  auto blind = check_of(port);
  blind.verify = false;
  mk::Executor server{expired, blind, in_time};
  CHECK_NOTHROW(server.start());
}

TEST_CASE("HTTPSCheck: a CA file may come later, and a missing one is the reason") {
  const test::Port port;
  const mk::TempDir dir;
  const auto late = (dir / "late.pem").string();
  auto check = check_of(port);
  check.ca_file = late;
  check_refused(s_server(port), check,
                "cannot use the CA file " + late + ": no such file or directory\n");
  std::vector<std::string> words = s_server(port);
  std::string line = "(sleep 0.3; cp " + authority().file("ca.pem") + " " + late + ") & exec";
  for (const auto& word : words) line += " " + word;
  mk::Executor server{mk::Shell{line}, check, in_time};
  CHECK_NOTHROW(server.start());
}

TEST_CASE("HTTPSCheck: a client certificate is shown, and its lack is told") {
  const test::Port port;
  const auto words =
      s_server(port, "-Verify", "1", "-verify_return_error", "-CAfile", authority().file("ca.pem"));
  check_refused(words, check_of(port), "TLS: tlsv13 alert certificate required\n");
  auto check = check_of(port);
  check.certificate = authority().file("client.pem");
  check.key = authority().file("client.key");
  mk::Executor server{words, check, in_time};
  CHECK_NOTHROW(server.start());
  server.stop();
  check.key = authority().file("server.key");
  check_refused(words, check, "cannot use the key " + authority().file("server.key") + ": ");
}

TEST_CASE("HTTPSCheck: a key with a passphrase is an error, and nobody is asked for it") {
  const test::Port port;
  const auto locked = authority().file("locked.key");
  mk::run({"openssl", "pkey", "-aes256", "-passout", "pass:secret", "-in",
           authority().file("client.key"), "-out", locked});
  auto check = check_of(port);
  check.certificate = authority().file("client.pem");
  check.key = locked;
  check_refused(s_server(port), check,
                "cannot use the key " + locked + ": interrupted or cancelled\n");
}

TEST_CASE("HTTPSCheck: the server name is asked for") {
  const test::Port port;
  // Two certificates: the second one only for the name that is asked for.
  const auto words =
      s_server(port, "-servername", "localhost", "-cert2", authority().file("server.pem"), "-key2",
               authority().file("server.key"), "-servername_fatal");
  mk::Executor server{words, check_of(port), in_time};
  CHECK_NOTHROW(server.start());
  server.stop();
  auto other = check_of(port, "127.0.0.1");
  other.server_name = "example.org";
  check_refused(words, other, "TLS: tlsv1 unrecognized name\n");
}

TEST_CASE("HTTPSCheck: a port that speaks no TLS is told") {
  const test::Port port;
  const auto check_answer = [&](const std::string& bytes, const std::string& reason) {
    check_refused({"python3", "-c",
                   "import socket\ns = socket.create_server(('127.0.0.1', " + port.str() +
                       "))\nwhile True:\n c = s.accept()[0]\n c.recv(4096)\n c.send(b'" + bytes +
                       "')\n c.close()\n"},
                  check_of(port), reason);
  };
  check_answer("HTTP/1.1 400 Bad\\r\\n\\r\\n", "the port speaks plain HTTP, not TLS\n");
  check_answer("220 mail ESMTP\\r\\n",
               "the port does not speak TLS, as it seems: it answered '220 mail ESMTP\\x0d\\n'\n");
  check_answer("\\x16\\x03\\x03\\xff\\xff" + std::string(40, 'x'), "TLS: ");
  check_answer("", "closed in the TLS handshake (does the port speak TLS?)\n");
}

TEST_CASE("HTTPCheck: a port that speaks TLS is told") {
  const test::Port port;
  mk::Executor server{s_server(port), check_of(port), in_time};
  server.start();
  const auto message = message_of<mk::TimeoutExpired>(
      [&] { server.wait_for(mk::HTTPCheck{"http://127.0.0.1:" + port.str() + "/"}, 500ms); });
  CHECK(contains(message, "(does the port speak TLS?)\n"));
}

TEST_CASE("HTTPSCheck: a CA file that has changed is read again") {
  const test::Port port;
  const mk::TempDir dir;
  const auto ca = (dir / "ca.pem").string();
  std::filesystem::copy_file(authority().file("client.pem"), ca);  // signs nothing
  auto check = check_of(port);
  check.ca_file = ca;
  check_refused(s_server(port), check,
                "the certificate is refused: unable to get local issuer certificate (by " + ca +
                    "; .verify = false takes it)\n");
  std::string line = "(sleep 0.5; cp " + authority().file("ca.pem") + " " + ca + ".new; mv " + ca +
                     ".new " + ca + ") & exec";
  for (const auto& word : s_server(port)) line += " " + word;
  mk::Executor server{mk::Shell{line}, check, in_time};
  const test::Elapsed elapsed;
  server.start();
  CHECK(elapsed >= 500ms);
}

TEST_CASE("HTTPSCheck: a long body is read to its end while the connection stays open") {
  const test::Port port;
  // Records of 16 KiB, more than one poll() reads, and then silence.
  const std::string program =
      "import socket, ssl, sys, time\n"
      "t = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nt.load_cert_chain(sys.argv[2], sys.argv[3])\n"
      "s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
      "kept = []\n"
      "while True:\n"
      " try:\n"
      "  c = t.wrap_socket(s.accept()[0], server_side=True)\n"
      "  c.recv(4096)\n"
      "  c.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n' + b'x' * 800000 + b'needle')\n"
      "  kept.append(c)\n"
      " except OSError: pass\n";
  mk::Executor server{{"python3", "-c", program, port.str(), authority().file("server.pem"),
                       authority().file("server.key")},
                      mk::TCPCheck{"127.0.0.1", port.number()},
                      in_time};
  server.start();
  auto check = check_of(port);
  check.body = "needle";
  // A wait for the socket would end with the attempt, after a second. A busy machine may be slow.
  const auto is_quick = [&] {
    const test::Elapsed elapsed;
    server.wait_for(check, 20s);
    return elapsed < 900ms;
  };
  CHECK((is_quick() || is_quick() || is_quick() || is_quick() || is_quick()));
}

TEST_CASE("HTTPSCheck: a long payload reaches a server that reads slowly") {
  const test::Port port;
  const std::string program =
      "import socket, ssl, sys, time\n"
      "t = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nt.load_cert_chain(sys.argv[2], sys.argv[3])\n"
      "s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
      "while True:\n"
      " try:\n"
      "  c = t.wrap_socket(s.accept()[0], server_side=True)\n"
      "  n = 0\n"
      "  while n < 3000000:\n"
      "   b = c.recv(200000)\n"
      "   if not b: break\n"
      "   n += len(b)\n"
      "   time.sleep(0.002)\n"
      "  c.sendall(b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n')\n"
      "  c.close()\n"
      " except OSError: pass\n";
  auto check = check_of(port);
  check.method = "POST";
  check.payload = std::string(3'000'000, 'p');
  mk::Executor server{{"python3", "-c", program, port.str(), authority().file("server.pem"),
                       authority().file("server.key")},
                      check,
                      in_time};
  CHECK_NOTHROW(server.start());
}

TEST_CASE(
    "HTTPSCheck: a server that sends session tickets all the time does not hold the deadline") {
  const test::Port port;
  // No byte of HTTP is among them.
  mk::Executor server{{"openssl", "s_server", "-accept", "127.0.0.1:" + port.str(), "-quiet",
                       "-cert", authority().file("server.pem"), "-key",
                       authority().file("server.key"), "-num_tickets", "200000"},
                      check_of(port),
                      mk::TimeoutBudget{.start = 700ms}};
  check_timeout(700ms, [&] { server.start(); }, [](const std::string&) { return true; });
}

TEST_CASE("HTTPSCheck: no server makes a start last longer than its budget") {
  const auto script = std::filesystem::path{__FILE__}.parent_path() / "../../support/tls_proxy.py";
  const test::Port port, plain;
  mk::Executor proxy{{"python3", script.string(), port.str(), plain.str(),
                      authority().file("server.pem"), authority().file("server.key")},
                     mk::TCPCheck{"127.0.0.1", port.number()},
                     in_time};
  proxy.start();
  auto check = check_of(port, "127.0.0.1");
  check.may_be_there = true;  // the proxy
  for (const auto& [behaviour, reasons] : test::hostile_servers()) {
    CAPTURE(behaviour);
    const auto tag = test::mark();
    mk::Executor server{test::helper("serve", "127.0.0.1", plain.str(), behaviour, tag),
                        mk::TCPCheck{"127.0.0.1", plain.number()}, in_time};
    server.start();
    const auto start = [&, &expected = reasons](const auto& with) {
      mk::Executor secure{"sleep 300", with, mk::TimeoutBudget{.start = 800ms}};
      check_timeout(
          800ms, [&] { secure.start(); },
          [&](const std::string& message) {
            return contains(message, "timed out after 800 ms\n") &&
                   std::any_of(expected.begin(), expected.end(), [&](const std::string& reason) {
                     return contains(message, reason);
                   });
          });
      CHECK_FALSE(secure.running());
    };
    start(check);
    start(mk::AnyOf{mk::StableFor{10ms, check}, mk::BannerCheck{"never"}});
  }
}

TEST_CASE("HTTPSCheck: nginx, and the asynchronous form") {
  const std::string program = test::exists("/usr/sbin/nginx") ? "/usr/sbin/nginx" : "";
  if (program.empty()) {
    MESSAGE("skipped: there is no nginx");
    return;
  }
  const test::Port port;
  const mk::TempDir dir;
  const auto path = [&](const char* name) { return (dir / name).string(); };
  std::ofstream{path("nginx.conf")}
      << (::geteuid() == 0 ? "user root root;\n" : "") << "daemon off;\npid " << path("pid")
      << ";\nerror_log " << path("error.log") << ";\nevents {}\nhttp {\n  access_log off;\n"
      << "  client_body_temp_path " << path("body") << ";\n  proxy_temp_path " << path("proxy")
      << ";\n  fastcgi_temp_path " << path("fastcgi") << ";\n  uwsgi_temp_path " << path("uwsgi")
      << ";\n  scgi_temp_path " << path("scgi")
      << ";\n  server {\n    listen 127.0.0.1:" << port.str() << " ssl;\n    ssl_certificate "
      << authority().file("server.pem") << ";\n    ssl_certificate_key "
      << authority().file("server.key")
      << ";\n    location / { return 200 '{\"status\": \"UP\"}'; }\n  }\n}\n";
  mk::Executor nginx{
      {program, "-p", dir.path().string(), "-e", path("error.log"), "-c", path("nginx.conf")},
      mk::HTTPSCheck{.url = "https://localhost:" + port.str() + "/",
                     .body = "\"status\":\\s*\"UP\"",
                     .ca_file = authority().file("ca.pem")},
      mk::Signals{.stop = SIGQUIT},
      in_time};
  asio::io_context context{1};
  std::optional<std::exception_ptr> started;
  nginx.async_start(
      asio::bind_executor(context, [&](std::exception_ptr error) { started = error; }));
  context.run();
  CHECK(started == std::exception_ptr{});
  CHECK(nginx.running());
  const auto message = message_of<mk::TimeoutExpired>(
      [&] { nginx.wait_for(mk::HTTPCheck{"http://localhost:" + port.str() + "/"}, 500ms); });
  CHECK(contains(message, "HTTP 400 (does the port speak TLS?)\n"));
  CHECK_NOTHROW(nginx.stop());
}

TEST_CASE("HTTPSURL: its scheme is https, and its port 443") {
  CHECK(mk::HTTPSURL{"https://h/a"}.port() == 443);
  CHECK(mk::HTTPSURL{"HTTPS://h:81/a"}.port() == 81);
  CHECK_THROWS_WITH_AS(mk::HTTPSURL{"http://h/"},
                       "the URL 'http://h/' does not begin with https://", std::invalid_argument);
}
