// What of a file could not be read. It was told, so nothing that follows from it is told as well:
// the places are asked where something seems to be missing, the words where a name seems unknown,
// unused or never set.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "compiler/source.hpp"

namespace sluice::compiler {

class Damage {
 public:
  // Text of which no tree was made.
  void add_place(Span place);
  // Text in which a brace was missing or too many: what stands in which block is a guess.
  void add_guess(Span place);
  // Every word that stands in the text.
  void add_words(std::string_view text);
  // A name that is told under another spelling.
  void add_word(std::string_view word);
  // Something was declared or bound there, and its name was not read.
  void add_nameless() { ++nameless_; }
  // Nothing of the file is known.
  void add_all() { all_ = true; }
  // Puts the places in order. Call it once all are added.
  void settle();

  bool empty() const { return !all_ && places_.empty() && guesses_.empty() && words_.empty(); }
  // Whether a place begins in the text or reaches into it.
  bool within(Span text) const;
  bool guessed(Span text) const;
  // Whether the word stands in damaged text, in whatever case and with or without underscores:
  // what should have been `user_turn` may be spoken of as `UserTurn`.
  bool names(std::string_view word) const;
  // How many names were not read.
  std::size_t nameless() const { return nameless_; }
  // In the order of the text, none overlapping another.
  const std::vector<Span>& places() const { return places_; }

 private:
  std::vector<Span> places_;
  std::vector<Span> guesses_;
  std::unordered_set<std::string> words_;
  std::size_t nameless_ = 0;
  bool all_ = false;
};

}  // namespace sluice::compiler
