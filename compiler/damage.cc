#include "compiler/damage.hpp"

#include <algorithm>
#include <cctype>

namespace sluice::compiler {

namespace {

bool is_letter(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
}

std::string plain(std::string_view word) {
  std::string made;
  for (const char letter : word) {
    if (letter == '_') continue;
    made += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return made;
}

bool touches(const std::vector<Span>& places, Span text) {
  return std::any_of(places.begin(), places.end(), [&](const Span& place) {
    return place.begin < text.end && place.end > text.begin;
  });
}

}  // namespace

void Damage::add_place(Span place) {
  if (place.size() > 0) places_.push_back(place);
}

void Damage::add_guess(Span place) {
  guesses_.push_back(place);
}

void Damage::add_words(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = at;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (end > at) add_word(text.substr(at, end - at));
    at = end + 1;
  }
}

void Damage::add_word(std::string_view word) {
  std::string made = plain(word);
  if (!made.empty()) words_.insert(std::move(made));
}

void Damage::settle() {
  std::sort(places_.begin(), places_.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  std::vector<Span> apart;
  for (const Span& place : places_) {
    if (!apart.empty() && place.begin <= apart.back().end) {
      apart.back().end = std::max(apart.back().end, place.end);
    } else {
      apart.push_back(place);
    }
  }
  places_ = std::move(apart);
}

bool Damage::within(Span text) const {
  return all_ || touches(places_, text);
}

bool Damage::guessed(Span text) const {
  return all_ || touches(guesses_, text);
}

bool Damage::names(std::string_view word) const {
  if (all_) return true;
  return !words_.empty() && words_.contains(plain(word));
}

}  // namespace sluice::compiler
