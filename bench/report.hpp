// SPDX-License-Identifier: BSL-1.0
// Rows, their rounds, the table and the JSON.
#pragma once

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "../tests/support/files.hpp"  // shared with the tests

namespace bench {

using Values = std::vector<double>;
using Measure = std::function<Values()>;

// The bound of the library's median: a multiple of the floor's, or an absolute value.
struct Bound {
  double times = 0, at_most = 0;
};

// One line of the table: its name, and the index of its value.
struct Metric {
  std::string name;
  std::size_t value = 0;
  Bound bound = {};
  const char* unit = "ms";
};

// The library and the floor. Each round measures both once.
struct Row {
  std::vector<Metric> metrics;
  Measure ours, floor;
  int rounds = 50, quick_rounds = 10;
  bool idle = false;  // only waits: many can run at the same time
  std::string skip = {};
  std::vector<Values> of_ours = {}, of_floor = {};
};

inline double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}
inline double median(const std::vector<double>& values) { return quantile(values, 0.5); }

inline std::string text(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

struct Line {
  Line(const Row& row, const Metric& metric) {
    std::vector<double> a, b;
    for (const auto& values : row.of_ours) a.push_back(values[metric.value]);
    for (const auto& values : row.of_floor) b.push_back(values[metric.value]);
    ours = median(a), ours_95 = quantile(a, 0.95);
    floor = median(b), floor_95 = quantile(b, 0.95);
    ratio = floor > 0 ? ours / floor : 0;
    const auto& bound = metric.bound;
    if (bound.times > 0) {
      limit = "<= " + text("%g", bound.times) + "x";
      good = ours <= bound.times * floor;
    } else if (bound.at_most > 0) {
      limit = "<= " + text("%g ", bound.at_most) + metric.unit;
      good = ours <= bound.at_most;
    }
  }

  double ours, ours_95, floor, floor_95, ratio;  // 0: no value
  std::string limit;                             // empty: no bound
  bool good = true;
};

inline void print_head() {
  std::printf("%-47s %9s %9s %9s %9s %7s  %s\n", "", "ours", "95 %", "floor", "95 %", "ratio",
              "bound");
}

inline void print(const Row& row) {
  for (const auto& metric : row.metrics) {
    const std::string name = metric.name + (*metric.unit ? std::string{", "} + metric.unit : "");
    if (!row.skip.empty()) {
      std::printf("%-47s %s\n", name.c_str(), row.skip.c_str());
      continue;
    }
    const Line line{row, metric};
    std::printf("%-47s %9.3f %9.3f %9.3f %9.3f %7s  %-10s %s\n", name.c_str(), line.ours,
                line.ours_95, line.floor, line.floor_95,
                line.ratio > 0 ? text("%.2f", line.ratio).c_str() : "-", line.limit.c_str(),
                line.limit.empty() ? ""
                : line.good        ? "good"
                                   : "MISSED");
  }
  std::fflush(stdout);
}

// "AMD EPYC, 2 processors, Linux 6.1.0, compiled by 12.2.0".
inline std::string machine() {
  const std::string info = test::slurp("/proc/cpuinfo");
  const auto name = info.find("model name");
  const auto colon = name == info.npos ? info.npos : info.find(": ", name);
  const std::string model =
      colon == info.npos ? "" : info.substr(colon + 2, info.find('\n', colon) - colon - 2) + ", ";
  utsname system{};
  ::uname(&system);
  return model + std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " processors, " +
         system.sysname + ' ' + system.release + ", compiled by " + __VERSION__;
}

inline void write_values(std::FILE* file, const char* name, const std::vector<Values>& rounds,
                         std::size_t value) {
  std::fprintf(file, ", \"%s\": [", name);
  for (std::size_t i = 0; i < rounds.size(); ++i)
    std::fprintf(file, "%s%.4g", i > 0 ? ", " : "", rounds[i][value]);
  std::fprintf(file, "]");
}

inline bool write_json(const std::vector<Row>& rows, const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return false;
  std::fprintf(file, "{\"machine\": \"%s\",\n \"rows\": ", machine().c_str());
  const char* separator = "[";
  for (const auto& row : rows)
    for (const auto& metric : row.metrics) {
      std::fprintf(file, "%s\n  {\"name\": \"%s\", \"unit\": \"%s\"", separator,
                   metric.name.c_str(), metric.unit);
      separator = ",";
      if (row.skip.empty()) {
        const Line line{row, metric};
        std::fprintf(file, ", \"ours\": {\"median\": %.6g, \"p95\": %.6g}", line.ours,
                     line.ours_95);
        std::fprintf(file, ", \"floor\": {\"median\": %.6g, \"p95\": %.6g}", line.floor,
                     line.floor_95);
        if (line.ratio > 0) std::fprintf(file, ", \"ratio\": %.4g", line.ratio);
        if (!line.limit.empty())
          std::fprintf(file, ", \"bound\": \"%s\", \"good\": %s", line.limit.c_str(),
                       line.good ? "true" : "false");
        write_values(file, "ours_rounds", row.of_ours, metric.value);
        write_values(file, "floor_rounds", row.of_floor, metric.value);
      } else {
        std::fprintf(file, ", \"skipped\": \"%s\"", row.skip.c_str());
      }
      std::fprintf(file, "}");
    }
  std::fprintf(file, "\n]}\n");
  return std::fclose(file) == 0;
}

}  // namespace bench
