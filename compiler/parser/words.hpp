// Which words begin what, for recovery and for messages.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "compiler/parser/tokens.hpp"

namespace sluice::compiler {

bool is_statement_word(size_t type);
bool is_reserved_word(size_t type);
// Reserved or not: every token that is spelled with small letters, `NAME` excepted.
bool is_word(size_t type);
// A word of the language that may be a name, too.
bool is_soft_word(size_t type);
bool is_policy_word(size_t type);
bool is_topic_word(size_t type);
bool is_flow_word(size_t type);
bool is_test_word(size_t type);

// A declaration begins at tokens[index]: a reserved word, or `task`, `event` … followed by what
// they declare.
bool begins_declaration(const std::vector<FlowToken>& tokens, size_t index);

const std::vector<std::string_view>& statement_words();
const std::vector<std::string_view>& declaration_words();
const std::vector<std::string_view>& policy_words();
const std::vector<std::string_view>& topic_words();
const std::vector<std::string_view>& flow_words();
const std::vector<std::string_view>& test_words();

// What the word of another language is called here: `func` is `fn`. Empty if unknown.
std::string_view declaration_meant(std::string_view word);
std::string_view statement_meant(std::string_view word);

}  // namespace sluice::compiler
