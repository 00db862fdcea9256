// SPDX-License-Identifier: BSL-1.0
// How do I start a service on another machine?
// mk::Ssh runs the command there: with its words, variables and directory, and without a trace when
// the test is killed. Here the other machine is this one, with an sshd of the example's own.
#include <unistd.h>
#include <filesystem>
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;

int main() {
  mk::TempDir dir{"sshd"};
  mk::FreePort port;
  for (const auto* key : {"host", "user"})
    mk::run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir / key});
  dir.write("config",
            mk::render("Port ${port}\nListenAddress 127.0.0.1\nHostKey ${dir}host\n"
                       "AuthorizedKeysFile ${dir}user.pub\nStrictModes no\nUsePAM no\n"
                       "PidFile none\nSetEnv HOME=${dir}\n",  // not what your own shell reads
                       {{"port", port}, {"dir", dir / ""}}));
  if (::geteuid() == 0) std::filesystem::create_directories("/run/sshd");  // sshd needs it as root
  mk::TCPExecutor sshd{{"/usr/sbin/sshd", "-D", "-e", "-f", dir / "config"},
                       mk::TCPCheck{"127.0.0.1", port}};
  sshd.start();

  mk::FreePort web;
  const mk::Ssh there{
      .host = "127.0.0.1",
      .options = {"-p", port.str(), "-i", dir / "user", "-o", "StrictHostKeyChecking=no", "-o",
                  "UserKnownHostsFile=/dev/null"}};
  mk::Executor server{mk::Command{.argv = {"python3", "-m", "http.server", web.str()}, .cwd = "/"},
                      there, mk::TCPCheck{mk::spawned_host, web}};
  server.start();
  std::cout << server << " serves on " << web.str() << '\n';
  server.stop();
}
