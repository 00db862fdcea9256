// SPDX-License-Identifier: BSL-1.0
// Files that tests read, and a directory for those that they write.

#pragma once

#include <ftw.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace test {

/// The whole content; empty when there is no such file.
inline std::string slurp(const std::string& path) {
  std::string text;
  if (std::FILE* file = std::fopen(path.c_str(), "re")) {
    char buffer[65536];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;)
      text.append(buffer, n);
    std::fclose(file);
  }
  return text;
}

inline bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

/// The numbers in a file of one per line, as the helper's pidfile= writes them.
inline std::vector<pid_t> read_pids(const std::string& path) {
  const std::string text = slurp(path);
  std::vector<pid_t> pids;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1)
    pids.push_back(std::atoi(text.c_str() + at));
  return pids;
}

/// The values that the helper's `inspect FILE` writes, by their keys: env:NAME for the environment.
inline std::map<std::string, std::string> read_inspect(const std::string& path) {
  std::map<std::string, std::string> values;
  const std::string text = slurp(path);
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1) {
    const std::size_t equals = text.find('=', at);
    std::string& value = values[text.substr(at, equals - at)];
    for (std::size_t i = equals + 1; i < end; ++i) {
      const bool escape = text[i] == '\\';
      if (escape) ++i;
      value += escape && text[i] == 'n' ? '\n' : text[i];
    }
  }
  return values;
}

/// A directory with a short name; the destructor removes it with its content.
class TempDir {
 public:
  TempDir() {
    if (mkdtemp(path_.data()) == nullptr)
      throw std::system_error{errno, std::generic_category(), path_};
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    const auto forget = [](const char* path, const struct stat*, int, FTW*) {
      std::remove(path);
      return 0;
    };
    nftw(path_.c_str(), forget, 16, FTW_DEPTH | FTW_PHYS);
  }

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string{name}; }

 private:
  std::string path_ = "/tmp/mirakuru-XXXXXX";
};

}  // namespace test
