// Where a statement may stand, and the place to point at when it may not.
#include <fmt/format.h>

#include "compiler/check/flows.hpp"

namespace sluice::compiler {

using namespace ir;

// The statement's first word.
Span first_word(const ast::Stmt& tree, std::string_view word) {
  const auto size = static_cast<std::uint32_t>(word.substr(0, word.find(' ')).size());
  return {tree.span.file, tree.span.begin, tree.span.begin + size};
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

}  // namespace sluice::compiler
