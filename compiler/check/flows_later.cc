// Statements that the language has and this version does not execute yet. Each is reported once, by
// its name, and what stands inside is checked like the rest, so that no other mistake hides there.
#include <fmt/format.h>

#include "compiler/check/flows.hpp"

namespace sluice::compiler {

using namespace ir;

// The statement's first word.
Span first_word(const ast::Stmt& tree, std::string_view word) {
  const auto size = static_cast<std::uint32_t>(word.substr(0, word.find(' ')).size());
  return {tree.span.file, tree.span.begin, tree.span.begin + size};
}

void FlowChecker::refuse(Code code, const ast::Stmt& tree, std::string_view word,
                         std::string_view why) {
  context_.diagnostics
      .report(code, first_word(tree, word), fmt::format("`{}` is not executed yet", word))
      .because(std::string(why));
}

bool FlowChecker::forbidden_in_on_failure(const ast::Stmt& tree, std::string_view word) {
  if (place_ != Place::kOnFailure) return false;
  context_.diagnostics
      .report(Code::E0406, first_word(tree, word),
              fmt::format("`{}` has no place in `on failure`", word))
      .because(
          "somebody waits for the answer: `on failure` ends within 10 s and waits for nothing "
          "but steps that have a `fallback`");
  return true;
}

Stmt* FlowChecker::later(const ast::Stmt& tree) {
  Refused out = std::visit(ast::Overloaded{
                               [&](const ast::LogStmt& node) {
                                 exprs_.infer(*node.value);
                                 refuse(Code::E0611, tree, "log",
                                        "the history of a run shows each step and its result");
                                 return Refused{};
                               },
                               [&](const auto&) { return Refused{}; },
                           },
                           tree.node);
  return made(tree, std::move(out));
}

}  // namespace sluice::compiler
