// SPDX-License-Identifier: BSL-1.0
// nginx with a configuration of the test's own: a port, a directory, a template, a reload.
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;

int main() {
  const mk::FreePort port;
  const mk::TempDir dir{"nginx"};
  dir.write("www/index.html", "hello\n");
  dir.write("nginx.conf", mk::render(R"(
user root; daemon off; pid ${dir}/pid; error_log stderr; worker_processes 1;
events {}
http { access_log ${dir}/access.log; server { listen 127.0.0.1:${port}; root ${dir}/www; } }
)",
                                     {{"port", port}, {"dir", dir}}));

  mk::HTTPExecutor nginx{
      mk::Command{.argv = {"nginx", "-p", dir, "-c", dir / "nginx.conf"}, .scratch = dir},
      mk::HTTPCheck{port.url("/index.html")}};
  nginx.start();

  mk::run({"nginx", "-p", dir, "-c", dir / "nginx.conf", "-s", "reload"});
  nginx.wait_for(mk::HTTPCheck{port.url("/index.html")});
  const auto log = mk::run({"cat", dir / "access.log"}).output;
  std::cout << log;
  return log.find("/index.html") != log.npos ? 0 : 1;
}
