// The words in which syntax errors are told.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "antlr4-runtime.h"
#include "compiler/diagnostics.hpp"
#include "compiler/parser/tokens.hpp"

namespace sluice::compiler {

// Where the grammar did not go on.
struct Mistake {
  std::vector<size_t> rules;           // the parser's rules there, innermost first
  size_t at = 0;                       // index of the token that does not fit
  antlr4::misc::IntervalSet expected;  // token types that would

  bool within(size_t rule) const;
  size_t rule() const { return rules.empty() ? 0 : rules.front(); }
};

Mistake mistake_of(antlr4::Parser& parser, const antlr4::RecognitionException& error,
                   const TokenList& list);

// Says nothing on lines where something was mended before.
void report_syntax_error(const Mistake& mistake, const TokenList& list, Diagnostics& diagnostics);

// A token that begins no item in a list of them. `item` is the rule of the items.
void report_unexpected_item(size_t item, size_t at, const TokenList& list,
                            Diagnostics& diagnostics);

// The two again, for what people write out of habit (habits.cc). False: nothing was told.
bool report_habit(const Mistake& mistake, const TokenList& list, Diagnostics& diagnostics);
bool report_habit_of_item(size_t item, size_t at, const TokenList& list,
                          Diagnostics& diagnostics);

// What a token is, for a sentence: "`let`", "the end of the file", "a string".
std::string describe(const FlowToken& token);

// What could stand there, for a sentence: "an expression", "`,` or `)`". Empty when it is too much
// to say.
std::string describe(const antlr4::misc::IntervalSet& expected);

}  // namespace sluice::compiler
