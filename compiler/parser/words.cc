#include "compiler/parser/words.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "FlowLexer.h"

namespace sluice::compiler {
namespace {

using grammar::FlowLexer;
using Words = std::vector<std::string_view>;
using Synonym = std::pair<std::string_view, std::string_view>;

template <std::size_t N>
bool is_one_of(size_t type, const std::array<size_t, N>& types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

template <std::size_t N>
std::string_view meant(std::string_view word, const std::array<Synonym, N>& synonyms) {
  for (const auto& [other, ours] : synonyms) {
    if (other == word) return ours;
  }
  return {};
}

bool names_something(size_t type) {
  return type == FlowLexer::TYPE || type == FlowLexer::NAME || type == FlowLexer::STRING_OPEN ||
         is_soft_word(type);
}

}  // namespace

bool is_statement_word(size_t type) {
  return type >= FlowLexer::K_LET && type <= FlowLexer::K_LOG && type != FlowLexer::K_CATCH &&
         type != FlowLexer::K_BRANCH;
}

bool is_reserved_word(size_t type) {
  return type >= FlowLexer::K_MODULE && type <= FlowLexer::K_FALSE;
}

bool is_soft_word(size_t type) {
  return type >= FlowLexer::K_EVENT && type <= FlowLexer::K_REFUSED;
}

bool is_word(size_t type) {
  return type >= FlowLexer::K_MODULE && type <= FlowLexer::K_REFUSED;
}

bool is_policy_word(size_t type) {
  static constexpr std::array<size_t, 19> kTypes = {
      FlowLexer::K_TIMEOUT,   FlowLexer::K_QUEUE,      FlowLexer::K_WITHIN,
      FlowLexer::K_HEARTBEAT, FlowLexer::K_ATTEMPTS,   FlowLexer::K_POOL,
      FlowLexer::K_PRIORITY,  FlowLexer::K_BREAKER,    FlowLexer::K_HEDGE,
      FlowLexer::K_FALLBACK,  FlowLexer::K_IDEMPOTENT, FlowLexer::K_KEYED,
      FlowLexer::K_STREAM,    FlowLexer::K_COMPENSATE, FlowLexer::K_UNSURE,
      FlowLexer::K_KEEP,      FlowLexer::K_USES,       FlowLexer::K_FAILS,
      FlowLexer::K_READONLY,
  };
  return is_one_of(type, kTypes);
}

bool is_topic_word(size_t type) {
  static constexpr std::array<size_t, 5> kTypes = {FlowLexer::K_ORDER, FlowLexer::K_DEDUPE,
                                                   FlowLexer::K_RETAIN, FlowLexer::K_LIMIT,
                                                   FlowLexer::K_TTL};
  return is_one_of(type, kTypes);
}

bool is_flow_word(size_t type) {
  static constexpr std::array<size_t, 6> kTypes = {FlowLexer::K_ON,    FlowLexer::K_TIMEOUT,
                                                   FlowLexer::K_LIMIT, FlowLexer::K_CONCURRENCY,
                                                   FlowLexer::K_TTL,   FlowLexer::K_BUDGET};
  return is_one_of(type, kTypes);
}

bool is_test_word(size_t type) {
  static constexpr std::array<size_t, 5> kTypes = {FlowLexer::K_GIVEN, FlowLexer::K_WHEN,
                                                   FlowLexer::K_AFTER, FlowLexer::K_EXPECT,
                                                   FlowLexer::K_ALWAYS};
  return is_one_of(type, kTypes);
}

bool begins_declaration(const std::vector<FlowToken>& tokens, size_t index) {
  const size_t type = tokens[index].getType();
  if (type >= FlowLexer::K_RECORD && type <= FlowLexer::K_FLOW) return true;
  const bool soft = type >= FlowLexer::K_EVENT && type <= FlowLexer::K_UPGRADE;
  if (!soft || !tokens[index].first_on_line || index + 1 >= tokens.size()) return false;
  return names_something(tokens[index + 1].getType());
}

const Words& statement_words() {
  static const Words words = {"let",      "var",     "set",   "step",     "parallel", "race",
                              "each",     "yield",   "if",    "match",    "while",    "break",
                              "continue", "receive", "sleep", "deadline", "notify",   "publish",
                              "start",    "try",     "fail",  "return",   "log"};
  return words;
}

const Words& declaration_words() {
  static const Words words = {"import", "record", "enum",    "event",  "upgrade",
                              "topic",  "task",   "pool",    "policy", "const",
                              "fn",     "flow",   "migrate", "test",   "invariant"};
  return words;
}

const Words& policy_words() {
  static const Words words = {"timeout",    "queue",    "within",  "heartbeat",  "attempts",
                              "pool",       "priority", "breaker", "hedge",      "fallback",
                              "idempotent", "keyed",    "stream",  "compensate", "unsure",
                              "keep",       "uses",     "fails",   "readonly"};
  return words;
}

const Words& topic_words() {
  static const Words words = {"order", "dedupe", "retain", "limit", "ttl"};
  return words;
}

const Words& flow_words() {
  static const Words words = {"on", "timeout", "concurrency", "limit", "ttl", "budget"};
  return words;
}

const Words& test_words() {
  static const Words words = {"given", "when", "after", "expect", "always"};
  return words;
}

std::string_view declaration_meant(std::string_view word) {
  static constexpr std::array<Synonym, 20> kSynonyms = {{
      {"fucntion", "fn"},      {"func", "fn"},       {"function", "fn"},   {"def", "fn"},
      {"fun", "fn"},           {"struct", "record"}, {"class", "record"},  {"type", "record"},
      {"interface", "record"}, {"data", "record"},   {"workflow", "flow"}, {"pipeline", "flow"},
      {"process", "flow"},     {"activity", "task"}, {"job", "task"},      {"message", "event"},
      {"stream", "topic"},     {"channel", "topic"}, {"use", "import"},    {"include", "import"},
  }};
  return meant(word, kSynonyms);
}

std::string_view statement_meant(std::string_view word) {
  static constexpr std::array<Synonym, 26> kSynonyms = {{
      {"console", "log"}, {"await", "step"},     {"call", "step"},    {"do", "step"},
      {"exec", "step"},   {"emit", "notify"},    {"send", "notify"},  {"throw", "fail"},
      {"raise", "fail"},  {"panic", "fail"},     {"switch", "match"}, {"foreach", "each"},
      {"loop", "while"},  {"repeat", "while"},   {"print", "log"},    {"println", "log"},
      {"echo", "log"},    {"wait", "sleep"},     {"delay", "sleep"},  {"spawn", "start"},
      {"go", "start"},    {"fork", "parallel"},  {"select", "race"},  {"mut", "var"},
      {"val", "let"},     {"listen", "receive"},
  }};
  return meant(word, kSynonyms);
}

}  // namespace sluice::compiler
