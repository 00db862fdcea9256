// SPDX-License-Identifier: BSL-1.0
// An ssh server on loopback, for one test program.

#pragma once

#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>
#include <string>
#include <vector>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

#include "mark.hpp"

namespace test {

/// sshd with keys of its own. Nothing is left at the end, nor after the death of the test.
class Sshd {
 public:
  /// `for_all`: each user of this machine may log in with the key, as far as PAM has no objection.
  explicit Sshd(bool for_all = false) {
    for (const auto* key : {"host", "user", "stranger"})
      mirakuru::run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir_ / key});
    dir_.write("config",
               mirakuru::render("Port ${port}\nListenAddress 127.0.0.1\n"
                                "HostKey ${dir}/host\nAuthorizedKeysFile ${dir}/user.pub\n"
                                "StrictModes no\nUsePAM ${pam}\nPidFile none\n"
                                "PasswordAuthentication no\nMaxStartups 200\n"
                                "SetEnv TMPDIR=${dir}/tmp HOME=${dir}/home\n",
                                {{"port", port_}, {"dir", dir_}, {"pam", for_all ? "yes" : "no"}}));
    // What the user's own shell reads at a login may take long.
    for (const auto* name : {"tmp", "home"}) std::filesystem::create_directory(dir_ / name);
    if (for_all) {
      ::chmod(dir_.path().c_str(), 0711);  // the key is theirs to read
      ::chmod(temporary().c_str(), 01777);
    }
    if (::geteuid() == 0)
      std::filesystem::create_directories("/run/sshd");  // sshd needs it as root
    server_.start();
  }

  /// The launcher that runs commands through it.
  [[nodiscard]] mirakuru::Ssh ssh(const std::string& key = "user") const {
    return through(port_.str(), key);
  }
  /// The same by another port, which leads there.
  [[nodiscard]] mirakuru::Ssh through(const std::string& port,
                                      const std::string& key = "user") const {
    return {.host = "127.0.0.1",
            .options = {"-p", port, "-i", (dir_ / key).native(), "-o", "IdentitiesOnly=yes", "-o",
                        "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"}};
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return server_.pid(); }
  /// The number of commands and far guardians, orphans too.
  [[nodiscard]] int count_processes() const {
    return processes_with("TMPDIR=" + temporary().native());
  }
  /// The directory for temporary files of the commands.
  [[nodiscard]] std::filesystem::path temporary() const { return dir_ / "tmp"; }

  /// The reason in words why there can be none here; empty if there can.
  [[nodiscard]] static std::string why_not() {
    for (const auto* program : {"/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"})
      if (::access(program, X_OK) != 0) return std::string{program} + " is not installed";
    return {};
  }

 private:
  mirakuru::TempDir dir_{"sshd"};
  mirakuru::FreePort port_;
  mirakuru::TCPExecutor server_{
      mirakuru::Command{.argv = {"/usr/sbin/sshd", "-D", "-e", "-f", dir_ / "config"},
                        .scratch = dir_},
      mirakuru::TCPCheck{"127.0.0.1", port_},
      mirakuru::TimeoutBudget{.start = std::chrono::seconds{30}}};
};

}  // namespace test
