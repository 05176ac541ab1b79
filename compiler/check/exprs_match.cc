// Patterns, and whether they cover every value.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/check/exprs.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// A literal's value as text, to find the same one twice.
std::string literal_text(const Expr& value) {
  return std::visit(ast::Overloaded{
                        [](const BoolValue& v) { return std::string(v.value ? "true" : "false"); },
                        [](const IntValue& v) { return std::to_string(v.value); },
                        [](const FloatValue& v) { return fmt::format("{}", v.value); },
                        [](const StringValue& v) { return "\"" + v.value + "\""; },
                        [](const DurationValue& v) { return fmt::format("{}ms", v.ms); },
                        [](const Constant& v) { return vm::encode_value(v.value); },
                        [](const auto&) { return std::string(); },
                    },
                    value.node);
}

}  // namespace

// Checks one pattern against its subject: a class, since every kind needs the same four things.
class PatternChecker {
 public:
  PatternChecker(Context& context, Exprs& exprs, Locals& locals, TypeId subject,
                 Exprs::Coverage& coverage)
      : context_(context),
        types_(context.types),
        exprs_(exprs),
        locals_(locals),
        subject_(subject),
        inner_(types_.without_optional(subject)),
        coverage_(coverage) {}

  Pattern check(const ast::Pattern& tree) {
    Pattern made;
    made.span = tree.span;
    std::visit(ast::Overloaded{
                   [&](const ast::WildcardPattern&) { wildcard(made); },
                   [&](const ast::LiteralPattern& p) { literal(p, made); },
                   [&](const ast::NamePattern& p) {
                     if (p.name.text == "_" && p.bindings.empty()) {
                       wildcard(made);
                     } else if (p.name.text == "none" && p.bindings.empty()) {
                       none(made);
                     } else {
                       enum_case(p.name, p.bindings, made);
                     }
                   },
                   [&](const ast::TypePattern& p) { type(p, made); },
               },
               tree.node);
    return made;
  }

 private:
  void bind_poison(const std::vector<ast::Name>& names) {
    for (const ast::Name& name : names) {
      locals_.declare(context_.local(name, kPoison, Local::Kind::kPattern));
    }
  }

  void misfit(Span span, std::string_view found, std::string_view why = "") {
    coverage_.uncertain = true;  // one of the cases was meant
    if (subject_ == kPoison) return;
    context_.diagnostics
        .report(Code::E0311, span,
                fmt::format("{} can never be {}", with_article(types_.name(subject_)), found))
        .because(std::string(why));
  }

  void repeated(Span span, Span first) {
    context_.diagnostics.report(Code::E0304, span, "this case can never be reached")
        .also(first, "this one takes the value already");
  }

  void wildcard(Pattern& made) {
    if (coverage_.everything) repeated(made.span, coverage_.first_wildcard);
    coverage_.everything = true;
    coverage_.first_wildcard = made.span;
  }

  void none(Pattern& made) {
    made.kind = Pattern::Kind::kAbsent;
    if (!types_.is_optional(subject_)) {
      misfit(made.span, "`none`", "only values of a type `T?` may be absent");
    }
    if (coverage_.everything) repeated(made.span, coverage_.first_wildcard);
    if (coverage_.none) repeated(made.span, coverage_.none_span);
    coverage_.none = true;
    coverage_.none_span = made.span;
  }

  void literal(const ast::LiteralPattern& pattern, Pattern& made) {
    made.kind = Pattern::Kind::kValue;
    made.value = exprs_.infer(*pattern.value, inner_);
    if (made.value->type == kPoison || inner_ == kPoison) return;
    if (made.value->type != inner_) {
      misfit(made.span, with_article(types_.name(made.value->type)));
      return;
    }
    const std::string text = literal_text(*made.value);
    if (coverage_.everything) repeated(made.span, coverage_.first_wildcard);
    const auto same = coverage_.literal_spans.try_emplace(text, made.span);
    if (!same.second) repeated(made.span, same.first->second);
  }

  void type(const ast::TypePattern& pattern, Pattern& made) {
    const TypeInfo info = types_[inner_];
    if (info.kind == TypeKind::kPoison) {
      bind_poison(pattern.bindings);
      return;
    }
    if (pattern.case_name && info.kind == TypeKind::kEnum &&
        pattern.type.last().text == info.enumeration->name) {
      enum_case(*pattern.case_name, pattern.bindings, made);
      return;
    }
    // Outcomes of a flow are named by their events.
    const bool outcome = info.kind == TypeKind::kEnum && info.enumeration->tree == nullptr;
    if (outcome && !pattern.case_name && pattern.type.is_simple()) {
      enum_case(pattern.type.last(), pattern.bindings, made);
      return;
    }
    bind_poison(pattern.bindings);
    misfit(made.span, fmt::format("`{}`", pattern.type.text()),
           info.kind == TypeKind::kEnum ? "its cases are written by their names alone" : "");
  }

  void enum_case(const ast::Name& name, const std::vector<ast::Name>& bindings, Pattern& made) {
    made.kind = Pattern::Kind::kCase;
    const TypeInfo info = types_[inner_];
    if (info.kind != TypeKind::kEnum) {
      bind_poison(bindings);
      misfit(name.span, fmt::format("`{}`", name.text),
             "a pattern is a literal, the case of an enum, `none` or `_`; it binds no new name "
             "for the whole value");
      return;
    }
    const CaseDef* found = info.enumeration->find(name.text, &made.which);
    if (found == nullptr) {
      std::vector<std::string_view> names;
      for (const CaseDef& each : info.enumeration->cases) names.push_back(each.name);
      if (!info.enumeration->damaged) {
        context_.unknown(Code::E0213, fmt::format("`{}` has no case", info.enumeration->name), name,
                         names);
      }
      bind_poison(bindings);
      made.kind = Pattern::Kind::kWildcard;
      coverage_.uncertain = true;
      return;
    }
    bind_fields(*found, name, bindings, made);
    if (coverage_.everything) repeated(made.span, coverage_.first_wildcard);
    const auto same = coverage_.case_spans.try_emplace(made.which, made.span);
    if (!same.second) repeated(made.span, same.first->second);
  }

  void bind_fields(const CaseDef& found, const ast::Name& name,
                   const std::vector<ast::Name>& bindings, Pattern& made) {
    if (bindings.empty()) return;
    const bool damaged = types_[inner_].enumeration->damaged;
    if (damaged && bindings.size() != found.fields.size()) return bind_poison(bindings);
    if (bindings.size() != found.fields.size()) {
      context_.diagnostics
          .report(
              Code::E0307, name.span,
              fmt::format("the case `{}` has {} field{}, and {} bound", name.text,
                          found.fields.size(), found.fields.size() == 1 ? "" : "s",
                          bindings.size() == 1 ? "1 is" : fmt::format("{} are", bindings.size())))
          .also(found.span, "declared here")
          .because("`_` leaves a field out; without brackets, all are left out");
      bind_poison(bindings);
      return;
    }
    for (std::size_t i = 0; i < bindings.size(); ++i) {
      if (bindings[i].text == "_") {
        made.bindings.push_back(nullptr);
        continue;
      }
      Local* local = context_.local(bindings[i], found.fields[i].type, Local::Kind::kPattern);
      locals_.declare(local);
      made.bindings.push_back(local);
    }
  }

  Context& context_;
  Types& types_;
  Exprs& exprs_;
  Locals& locals_;
  TypeId subject_;
  TypeId inner_;
  Exprs::Coverage& coverage_;
};

Pattern Exprs::pattern(const ast::Pattern& tree, const Expr& subject, Coverage& coverage) {
  return PatternChecker(context_, *this, locals_, subject.type, coverage).check(tree);
}

void Exprs::finish_match(Span match, const Expr& subject, const Coverage& coverage,
                         std::optional<Span> else_span) {
  const TypeInfo info = types_[types_.without_optional(subject.type)];
  if (info.kind == TypeKind::kPoison || coverage.uncertain) return;
  // A case that could not be read may be the one that is missing, here or in the enum.
  if (context_.program.damage_in(match.file).within(match)) return;
  if (info.kind == TypeKind::kEnum && info.enumeration->damaged && else_span) return;
  std::string missing;
  const auto lacks = [&](const std::string& what) {
    missing += fmt::format("{}`{}`", missing.empty() ? "" : ", ", what);
  };
  bool finite = true;
  if (info.kind == TypeKind::kEnum) {
    for (std::uint32_t i = 0; i < info.enumeration->cases.size(); ++i) {
      if (!coverage.case_spans.contains(i)) lacks(info.enumeration->cases[i].name);
    }
  } else if (info.kind == TypeKind::kBool) {
    for (const char* value : {"true", "false"}) {
      if (!coverage.literal_spans.contains(value)) lacks(value);
    }
  } else {
    finite = false;
  }
  if (types_.is_optional(subject.type) && !coverage.none) lacks("none");
  const bool complete = coverage.everything || (finite && missing.empty());
  if (complete && else_span) {
    context_.diagnostics.report(Code::W0004, *else_span, "this `else` is never reached")
        .because("the cases before it take every value");
  }
  if (complete || else_span) return;
  Diagnostic& diagnostic = context_.diagnostics.report(
      Code::E0303, {match.file, match.begin, match.begin + 5},
      finite ? fmt::format("not every value has its case: {} missing", missing)
             : fmt::format("the cases cannot name every {}, so an `else` is needed",
                           types_.name(types_.without_optional(subject.type))));
  diagnostic.also(subject.span, fmt::format("this is {}", with_article(types_.name(subject.type))));
}

}  // namespace sluice::compiler
