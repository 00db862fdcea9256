// SPDX-License-Identifier: BSL-1.0
// One program with many verbs. Tests that need a process start it:
//
//   helper VERB [WORD...] [key=value...]        (`helper help` lists the verbs)
//
// Every verb but args takes mark=TEXT and ignores it: a test finds its own processes by it. Every
// process ends by itself 60 s after its start, except those that `escape stop` has stopped.

#include <cstdio>

#include "helper.hpp"

namespace {

using helper::Args, helper::Verb;

std::vector<Verb> all_verbs() {
  std::vector<Verb> all;
  for (const auto group :
       {helper::signal_verbs(), helper::server_verbs(), helper::descendant_verbs(),
        helper::inspect_verbs(), helper::output_verbs(), helper::notify_verbs()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

/// The words and options of a verb.
Args parsed(const Verb& verb, std::span<char* const> given) {
  Args args;
  for (const std::string word : given) {
    const std::string key = word.substr(0, word.find('='));
    const bool is_option = key != word && (verb.usage.find("[" + key + "=") != word.npos ||
                                           (key == "mark" && verb.name != "args"));
    is_option ? void(args.options.emplace_back(key, word.substr(key.size() + 1)))
              : void(args.words.push_back(word));
  }
  return args;
}

}  // namespace

int main(int argc, char** argv) {
  helper::arguments = argv;
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Verb& verb : all_verbs()) {
    if (name == "help")
      helper::write_all(1, std::string{verb.name} + " " + std::string{verb.usage} + "\n");
    if (name != verb.name) continue;
    const Args args = parsed(verb, std::span{argv + 2, argv + argc});
    if (args.words.size() >= verb.least && args.words.size() <= verb.most) return verb.run(args);
  }
  if (name == "help") return 0;
  std::fprintf(stderr, "helper: wrong verb or arguments; `helper help` lists them\n");
  return 2;
}
