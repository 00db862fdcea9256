// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <cerrno>
#include <ctime>
#include <optional>
#include <string>

#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/spawn/child.hpp>
#include <mirakuru/spawn/launch.hpp>

// The guardian's connection to a far guardian, by the standard streams of a local command.

namespace mirakuru::detail {

/// The descriptors of a connection; -1 for none.
struct LinkEnds {
  int orders = -1;              ///< the writing end of the local command's standard input
  int news = -1;                ///< the reading end of its standard error
  int input = -1, errors = -1;  ///< the far command's own: read from, and written to
};

/// News of a far guardian, and its order. Never blocks, and calls no library.
///
/// An order is one line: a letter and its argument; spawn/far/far_guardian.ipp has them. Pipes take
/// up to PIPE_BUF bytes as a whole or not at all, so no order is ever cut.
class [[gnu::visibility("hidden")]] Link {
 public:
  enum class News { none, up, failed, end, paused, gone, left };
  static constexpr std::size_t most = 3;  // descriptors that it waits for
  static constexpr std::int64_t heartbeat = 2'000'000'000;

  [[nodiscard]] static std::size_t extra_size(const std::optional<FarCommand>& far) {
    return far ? far->mark.size() + 2 * buffer_size + 128 : 0;
  }
  Link(const std::optional<FarCommand>& far, const LinkEnds& ends, StringArena& arena)
      : ends_{ends}, exists_{far.has_value()}, tasks_{far ? far->tasks : 0} {
    if (!exists_) return;
    prefix_ = arena.string('0' + ("mirakuru " + far->mark + ' '));
    prefix_size_ = far->mark.size() + 11;
    prefix_[0] = '\0';
    in_ = arena.array<char>(buffer_size);
    out_ = arena.array<char>(buffer_size);
  }

  [[nodiscard]] bool exists() const noexcept { return exists_; }
  /// True while the far guardian takes orders.
  [[nodiscard]] bool is_up() const noexcept { return up_ && !gone_ && ends_.orders >= 0; }
  [[nodiscard]] bool was_up() const noexcept { return up_; }
  /// True when it has said that nothing of its command lives.
  [[nodiscard]] bool is_gone() const noexcept { return gone_; }
  /// True when each far guardian that was up has told the exit code of its command, or when one has
  /// told a bad one.
  [[nodiscard]] bool has_ended() const noexcept {
    return exit_code_ != 0 || (ups_ > 0 && ends_told_ >= ups_);
  }
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }
  /// The last line of the local command's own, such as an error of ssh.
  [[nodiscard]] const char* last_words() const noexcept { return words_; }
  /// The arguments of the last news: the far id or a number, and a text.
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] const char* text() const noexcept { return text_; }

  template <class Visit>
  void each_descriptor(Visit visit) const {
    for (const int fd : {ends_.orders, ends_.news, ends_.input, ends_.errors}) visit(fd);
  }

  /// Sends a signal to the command's tree, or to its leader alone.
  void signal(int signal, bool leader_alone) {
    if (signal > 0 && signal <= 64)
      (leader_alone ? for_leader_ : for_tree_) |= std::uint64_t{1} << (signal - 1);
    send_signals();
  }
  /// Sends an order without an argument.
  bool order(char letter) {
    const char line[] = {letter, '\n'};
    return send(line, sizeof line);
  }
  /// The far guardian may end now: nothing of the command lives.
  void release() {
    gone_ = true;
    order('q');
    close(ends_.orders);
  }
  /// Ends the connection.
  void drop() { close(ends_.orders); }

  /// The longest wait in nanoseconds.
  [[nodiscard]] std::int64_t pause(std::int64_t now) const noexcept {
    if (!exists_ || ends_.orders < 0) return INT64_MAX;
    return more_ ? 0 : beat_at_ - now;
  }
  void wait_for(pollfd (&events)[most]) const {
    const bool waits = (for_tree_ | for_leader_ | std::uint64_t{input_ends_}) != 0;
    const bool blocked = filled_ > 0;
    events[0] = {.fd = blocked ? ends_.errors : ends_.news,
                 .events = static_cast<short>(blocked ? POLLOUT : POLLIN),
                 .revents = 0};
    events[1] = {.fd = is_up() && !full_ && takes_input() ? ends_.input : -1,
                 .events = POLLIN,
                 .revents = 0};
    events[2] = {
        .fd = is_up() && (waits || full_) ? ends_.orders : -1, .events = POLLOUT, .revents = 0};
  }
  /// Copies what is there, and returns the next news; `none` when there is nothing more.
  News pump(std::int64_t now) {
    // Also while the command waits, as in a queue: a guardian on the way listens, too.
    if (ends_.orders >= 0 && now >= beat_at_) {
      send("\n", 1);
      beat_at_ = now + heartbeat;
    }
    if (is_up()) {
      send_signals();
      send_input();
    }
    return read_news();
  }
  /// Takes the rest of the news. The local command has ended, and perhaps not all that it has
  /// started: waits for a tenth of a second at most.
  template <class Visit>
  void drain(Visit visit) {
    for (int tries = 0; ends_.news >= 0 && tries < 100; ++tries) {
      for (News news; (news = read_news()) != News::none;) visit(news);
      if (ends_.news >= 0 && !more_) syscalls::nap(1'000'000);
    }
  }

 private:
  static constexpr std::size_t buffer_size = 4096;

  static void close(int& fd) {
    if (fd >= 0) syscalls::call(SYS_close, fd);
    fd = -1;
  }

  /// False if the pipe is full.
  bool send(const char* line, std::size_t size) {
    if (ends_.orders < 0) return true;
    full_ = syscalls::call(SYS_write, ends_.orders, line, size) < 0 && errno == EAGAIN;
    return !full_;
  }
  void send_signals() {
    if (!is_up()) return;
    for (auto* const all : {&for_leader_, &for_tree_})
      for (int signal = 1; signal <= 64 && *all != 0; ++signal) {
        const auto bit = std::uint64_t{1} << (signal - 1);
        if ((*all & bit) == 0) continue;
        char line[4] = {all == &for_tree_ ? 's' : 'l'};
        std::size_t size = 1;
        if (signal >= 10) line[size++] = static_cast<char>('0' + signal / 10);
        line[size++] = static_cast<char>('0' + signal % 10);
        line[size++] = '\n';
        if (!send(line, size)) return;
        *all &= ~bit;
      }
  }
  void send_input() {
    if (input_ends_) input_ends_ = !order('e');
    if (ends_.input < 0 || full_ || !takes_input()) return;
    constexpr timespec at_once = {};
    // Nothing may be read that cannot be sent.
    pollfd room{.fd = ends_.orders, .events = POLLOUT, .revents = 0};
    if (syscalls::call(SYS_ppoll, &room, 1, &at_once, nullptr, 0) <= 0) return void(full_ = true);
    constexpr std::size_t longest = 5;  // of one byte
    char bytes[800], line[3 + longest * sizeof bytes];
    std::size_t filled = 0;
    line[filled++] = 'i';
    // A text takes less: more of it may be there.
    for (std::size_t count; (count = (sizeof line - 1 - filled) / longest) >= sizeof bytes / 8;) {
      pollfd event{.fd = ends_.input, .events = POLLIN, .revents = 0};
      if (syscalls::call(SYS_ppoll, &event, 1, &at_once, nullptr, 0) <= 0) break;
      const long size = syscalls::call(SYS_read, ends_.input, bytes, count);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) break;
      if (size <= 0) {
        close(ends_.input);
        input_ends_ = true;
        break;
      }
      for (long i = 0; i < size; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        // The far shell reads each byte by a call of its own.
        if (byte >= ' ' && byte <= '~' && byte != '\\') {
          line[filled++] = bytes[i];
          continue;
        }
        line[filled++] = '\\';
        line[filled++] = '0';
        line[filled++] = static_cast<char>('0' + byte / 64);
        line[filled++] = static_cast<char>('0' + byte / 8 % 8);
        line[filled++] = static_cast<char>('0' + byte % 8);
      }
    }
    if (filled > 1) {
      line[filled++] = '\n';
      send(line, filled);
      ++lines_sent_;
      more_ = true;
    }
    if (input_ends_ && !full_) input_ends_ = !order('e');
  }
  /// One line at a time: it fits into any pipe there, so that the far guardian never waits for its
  /// command.
  [[nodiscard]] bool takes_input() const noexcept {
    return lines_sent_ * all_tasks() <= lines_taken_;
  }
  /// A user's own options may start more than the launcher knows.
  [[nodiscard]] int all_tasks() const noexcept { return ups_ > tasks_ ? ups_ : tasks_; }

  /// Takes the news out of the stream, and writes the rest to the file of standard error.
  News read_news() {
    more_ = false;
    for (int rounds = 0; write_out(); ++rounds) {
      // The output before the news is in its file.
      if (const auto news = held_; news != News::none) {
        held_ = News::none;
        more_ = true;
        return news;
      }
      if (read_ == size_) {
        if (ends_.news < 0) return News::none;
        if (rounds == 8) return more_ = true, News::none;
        pollfd event{.fd = ends_.news, .events = POLLIN, .revents = 0};
        constexpr timespec at_once = {};
        if (syscalls::call(SYS_ppoll, &event, 1, &at_once, nullptr, 0) <= 0) return News::none;
        size_ = syscalls::call(SYS_read, ends_.news, in_, buffer_size - sizeof line_);
        read_ = 0;
        if (size_ <= 0) {
          if (size_ < 0 && (errno == EINTR || errno == EAGAIN)) return size_ = 0, News::none;
          size_ = 0;
          close(ends_.news);
          put_back();
          continue;
        }
      }
      while (read_ < size_ && held_ == News::none) held_ = take(in_[read_++]);
    }
    return News::none;
  }

  /// A line of the far guardian's begins with a zero and the mark.
  News take(char c) {
    if (line_size_ > 0 || c == '\0') {
      line_[line_size_++] = c;
      if (line_size_ <= prefix_size_) {
        if (c == prefix_[line_size_ - 1]) return News::none;
        --line_size_;
        put_back();
        return c == '\0' ? take(c) : (put(c), News::none);
      }
      if (c == '\n') return understand();
      if (line_size_ == sizeof line_) put_back();
      return News::none;
    }
    put(c);
    return News::none;
  }
  void put_back() {
    for (std::size_t i = 0; i < line_size_; ++i) put(line_[i]);
    line_size_ = 0;
  }
  void put(char c) {
    out_[filled_++] = c;
    // The last line that is not empty.
    if (c == '\n' || c == '\r') {
      words_end_ = true;
    } else {
      if (words_end_) words_size_ = 0;
      words_end_ = false;
      if (words_size_ + 1 < sizeof words_) words_[words_size_++] = c;
      words_[words_size_] = '\0';
    }
  }

  News understand() {
    line_[line_size_ - 1] = '\0';
    const char* at = line_ + prefix_size_;
    const char* const word = at;
    while (*at != '\0' && *at != ' ') ++at;
    const auto is = [&](const char* name) {
      const char* c = word;
      while (c != at && *c == *name) ++c, ++name;
      return c == at && *name == '\0';
    };
    if (is("taken")) ++lines_taken_;
    const auto news = is("up")       ? News::up
                      : is("failed") ? News::failed
                      : is("end")    ? News::end
                      : is("paused") ? News::paused
                      : is("gone")   ? News::gone
                      : is("left")   ? News::left
                                     : News::none;
    const auto number_from = [&] {
      while (*at == ' ') ++at;
      const bool minus = *at == '-';
      if (minus) ++at;
      int value = 0;
      while (*at >= '0' && *at <= '9' && value < 100'000'000) value = value * 10 + (*at++ - '0');
      return minus ? -value : value;
    };
    const auto text_from = [&] {
      while (*at == ' ') ++at;
      std::size_t size = 0;
      while (*at != '\0' && *at != ' ' && size + 1 < sizeof text_) text_[size++] = *at++;
      text_[size] = '\0';
    };
    if (news == News::failed) text_from();
    if (news != News::none) number_ = number_from();
    if (news == News::up) text_from();
    line_size_ = 0;
    // A job has several tasks. The first start counts, and the last end, or the first bad one.
    if (news == News::up) {
      up_ = true;
      return ++ups_ == 1 ? news : News::none;
    }
    if (news == News::end) {
      ++ends_told_;
      if (exit_code_ != 0 || (number_ == 0 && ends_told_ < all_tasks())) return News::none;
      exit_code_ = number_;
      return news;
    }
    return news == News::gone && ++gones_ < all_tasks() ? News::none : news;
  }

  /// True if nothing is left to write.
  bool write_out() {
    std::size_t done = 0;
    while (done < filled_) {
      pollfd ready{.fd = ends_.errors, .events = POLLOUT, .revents = 0};
      constexpr timespec at_once = {};
      if (ends_.errors >= 0 && syscalls::call(SYS_ppoll, &ready, 1, &at_once, nullptr, 0) == 0)
        break;
      const long size = ends_.errors < 0
                            ? -1
                            : syscalls::call(SYS_write, ends_.errors, out_ + done, filled_ - done);
      if (size < 0 && errno == EAGAIN && ends_.errors >= 0) break;
      done = size <= 0 ? filled_ : done + static_cast<std::size_t>(size);  // nobody reads it
    }
    for (std::size_t i = done; i < filled_; ++i) out_[i - done] = out_[i];
    filled_ -= done;
    return filled_ == 0;
  }

  LinkEnds ends_;
  News held_ = News::none;
  bool exists_, up_ = false, gone_ = false;
  bool full_ = false, more_ = false, input_ends_ = false;
  int exit_code_ = 0, number_ = 0;
  int tasks_, ups_ = 0, ends_told_ = 0, gones_ = 0;
  std::int64_t lines_sent_ = 0, lines_taken_ = 0;
  std::uint64_t for_tree_ = 0, for_leader_ = 0;  // signals to send, by number
  std::int64_t beat_at_ = 0;
  char *prefix_ = nullptr, *in_ = nullptr, *out_ = nullptr;
  std::size_t prefix_size_ = 0, filled_ = 0;  // of `out_`
  long read_ = 0, size_ = 0;                  // of `in_`
  char line_[256];
  std::size_t line_size_ = 0;
  char words_[200] = {}, text_[200] = {};
  std::size_t words_size_ = 0;
  bool words_end_ = false;
};

}  // namespace mirakuru::detail
