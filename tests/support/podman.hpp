// SPDX-License-Identifier: BSL-1.0
// Podman with a root file system, for one test program.

#pragma once

#include <unistd.h>
#include <exception>
#include <filesystem>
#include <string>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace test {

/// Podman with a mount namespace and a storage of its own: the machine's is not touched, and all of
/// it is gone with the last process in there, also after the death of the test.
class Podman {
 public:
  Podman() {
    make_root();
    for (const auto* name : {"storage", "volume"}) std::filesystem::create_directory(dir_ / name);
    // No limit is raised above this process's own, and no file keeps the output a second time.
    dir_.write("containers.conf",
               "[containers]\ncgroups = \"disabled\"\nnetns = \"host\"\nlog_driver = \"none\"\n"
               "default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n"
               "[engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"crun\"\n");
    holder_.start();
    const auto program = dir_.write(
        "podman", mirakuru::render("#!/bin/sh\nexport CONTAINERS_CONF='${dir}/containers.conf'\n"
                                   "exec nsenter --mount=/proc/${pid}/ns/mnt -- podman"
                                   " --root '${dir}/storage/root' --runroot '${dir}/storage/run'"
                                   " --tmpdir '${dir}/storage/tmp' \"$@\"\n",
                                   {{"dir", dir_}, {"pid", holder_.pid()}}));
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  }

  /// The launcher that runs commands in a container of the root file system.
  [[nodiscard]] mirakuru::Podman podman() const {
    return {.rootfs = (dir_ / "root").native() + ":O", .program = program()};
  }
  /// The program that stands for `podman`.
  [[nodiscard]] std::string program() const { return dir_ / "podman"; }
  /// A directory for volumes.
  [[nodiscard]] std::string volume() const { return dir_ / "volume"; }

  /// The names of all containers, one a line.
  [[nodiscard]] std::string containers() const {
    return mirakuru::run({program(), "ps", "--all", "--format={{.Names}}"}).output;
  }
  /// The mounts and the directories that containers have left in the storage, one a line.
  [[nodiscard]] std::string leftovers() const {
    return mirakuru::run({"nsenter", "--mount=/proc/" + std::to_string(holder_.pid()) + "/ns/mnt",
                          "--", "sh", "-c", looks, dir_ / "storage"})
        .output;
  }

  /// The reason in words why there can be none here; empty if there can. It is tried really.
  [[nodiscard]] static const std::string& why_not() {
    static const std::string reason = try_it();
    return reason;
  }
  /// The one of the program; null, with a message, where there can be none.
  static Podman* get() {
    if (!why_not().empty()) {
      MESSAGE(why_not());
      return nullptr;
    }
    return &the_one();
  }

 private:
  // Podman wants the cgroups of version 2 alone. Its locks are in /dev/shm, crun's state is in
  // /run.
  static constexpr auto holds =
      "mount --make-rprivate / && umount -R /sys/fs/cgroup && "
      "mount -t cgroup2 none /sys/fs/cgroup && mount -t tmpfs none /dev/shm && "
      "mount -t tmpfs none /run && mount -t tmpfs none \"$0\" && echo ready && exec sleep infinity";
  static constexpr auto looks =
      "grep -o \"$0/[^ ]*\" /proc/self/mountinfo; "
      "find \"$0\"/*/overlay-containers -mindepth 1 -maxdepth 1 -type d; "
      "find \"$0/root/overlay\" -mindepth 1 -maxdepth 1 -type d ! -name l";

  static Podman& the_one() {
    static Podman podman;
    return podman;
  }

  static std::string try_it() {
    for (const auto* program : {"/usr/bin/podman", "/usr/bin/crun", "/usr/bin/conmon",
                                "/bin/busybox", "/usr/bin/nsenter", "/usr/bin/unshare"})
      if (::access(program, X_OK) != 0) return std::string{program} + " is not installed";
    if (::geteuid() != 0) return "Podman is tested as root alone";
    try {
      const auto& podman = the_one();
      mirakuru::run({podman.program(), "run", "--rm", "--rootfs", podman.podman().rootfs, "true"});
    } catch (const std::exception& error) {
      return std::string{"no container can run here: "} + error.what();
    }
    return {};
  }

  /// A root file system of busybox, which is one static program.
  void make_root() const {
    for (const auto* name : {"bin", "dev", "etc", "proc", "sys", "tmp"})
      std::filesystem::create_directories(dir_ / "root" / name);
    std::filesystem::copy_file("/bin/busybox", dir_ / "root/bin/busybox");
    for (const auto* name : {"cat", "echo", "env", "false", "httpd", "kill", "ls", "nc", "printf",
                             "ps", "pwd", "sh", "sleep", "test", "touch", "true"})
      std::filesystem::create_symlink("busybox", dir_ / "root/bin" / name);
  }

  mirakuru::TempDir dir_{"podman"};
  mirakuru::Executor<mirakuru::BannerCheck, mirakuru::TimeoutBudget> holder_{
      mirakuru::Command{.argv = {"unshare", "--mount", "sh", "-c", holds, dir_ / "storage"},
                        .scratch = dir_},
      mirakuru::BannerCheck{"ready"}, mirakuru::TimeoutBudget{.start = std::chrono::seconds{30}}};
};

}  // namespace test
