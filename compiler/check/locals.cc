#include "compiler/check/locals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace sluice::compiler {

namespace {

// Whether it may be used or set in what could not be read of its own declaration, or behind that.
bool may_be_lost(const ir::Program& program, const ir::Local& local) {
  if (!program.is_lost(local.name)) return false;
  for (const auto& tree : program.trees) {
    if (tree->file != local.span.file) continue;
    Span own{local.span.file, 0, std::numeric_limits<std::uint32_t>::max()};
    for (const ast::Decl& decl : tree->declarations) {
      if (decl.span.begin > local.span.begin) {
        own.end = std::min(own.end, decl.span.begin);
      } else {
        own.begin = std::max(own.begin, decl.span.begin);
      }
    }
    return tree->damage.within(own);
  }
  return true;
}

}  // namespace

using namespace ir;

void Locals::close() {
  const std::size_t mark = marks_.back();
  marks_.pop_back();
  while (order_.size() > mark) {
    Local* local = order_.back();
    order_.pop_back();
    alive_[local->name].pop_back();
    dead_[local->name] = local->span;
    const bool bound = local->kind == Local::Kind::kLet || local->kind == Local::Kind::kVar;
    const bool unused = bound && !local->used && !local->name.starts_with('_');
    const bool never_set = local->kind == Local::Kind::kVar && !local->assigned;
    if (!unused && !never_set) continue;
    if (may_be_lost(context_.program, *local)) continue;
    if (unused) {
      context_.diagnostics
          .report(Code::W0001, local->span, fmt::format("`{}` is never used", local->name))
          .because("a name that begins with `_` may stay unused");
    } else if (local->type != kPoison) {
      context_.diagnostics
          .report(Code::W0009, local->span,
                  fmt::format("`{}` is never set again, so it need not be a `var`", local->name))
          .because("`let` binds a name once")
          .mend("write `let`", {{*local->word, "let"}});
    }
  }
}

void Locals::declare(Local* local) {
  local->frame = frame();
  if (local->name == "_") return;
  auto& same = alive_[local->name];
  // Where a brace is a guess, so is which block a name belongs to.
  if (!same.empty() && !context_.program.damage_in(local->span.file).guessed(local->span)) {
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0205, local->span, fmt::format("the name `{}` is taken already", local->name));
    diagnostic.also(same.back()->span, "declared here, and still alive");
    local->used = true;  // that nobody reads it follows
    if (same.back()->kind == Local::Kind::kVar && local->kind == Local::Kind::kLet) {
      diagnostic.because("`set` gives a variable another value");
    }
    if (local->kind == Local::Kind::kStep) {
      diagnostic.because(
          "a step is named after its task unless it is given a name: "
          "`step other = task(…)`");
    }
  }
  same.push_back(local);
  order_.push_back(local);
}

Local* Locals::find(std::string_view name) const {
  const auto place = alive_.find(name);
  return place == alive_.end() || place->second.empty() ? nullptr : place->second.back();
}

const Span* Locals::find_dead(std::string_view name) const {
  const auto place = dead_.find(name);
  return place == dead_.end() ? nullptr : &place->second;
}

std::vector<std::string_view> Locals::names() const {
  std::vector<std::string_view> names;
  for (const Local* local : order_) names.push_back(local->name);
  return names;
}

}  // namespace sluice::compiler
