// Values and conditions of test and invariant blocks: pure functions behind those of the program.
#include "compiler/codegen/generator.hpp"

namespace sluice::compiler {

using namespace ir;

void Generator::test_value(const std::string& title, const Expr* value) {
  if (value == nullptr) return;
  const std::uint32_t index = reserve();
  FunctionCode code(*this, "test " + title, vm::FunctionKind::pure, 0);
  code.pure_body(*value);
  put(index, code.builder(), value->span);
  test_functions_.emplace(value, index);
}

void Generator::test_condition(const std::string& title, const Condition& condition) {
  const std::uint32_t index = reserve();
  FunctionCode code(*this, "test " + title, vm::FunctionKind::pure,
                    static_cast<std::uint16_t>(condition.counts.size()));
  for (std::uint32_t i = 0; i < condition.counts.size(); ++i) {
    code.bind(condition.counts[i].local, {i});
  }
  code.pure_body(*condition.value);
  put(index, code.builder(), condition.span);
  test_functions_.emplace(condition.value, index);
}

void Generator::tests() {
  for (const TestDef& test : program_.tests) {
    for (const Given& given : test.givens) {
      for (const GivenAnswer& answer : given.answers) test_value(test.title, answer.returns);
    }
    for (const When& when : test.whens) {
      test_value(test.title, when.value);
      for (const Expr* argument : when.arguments) test_value(test.title, argument);
    }
    for (const auto& expectation : test.expectations) {
      if (const auto* event = std::get_if<ExpectEvent>(&expectation)) {
        type(event->event->type);  // so that what was sent can be read
        for (const auto& [field, value] : event->fields) test_value(test.title, value);
      } else if (const auto* condition = std::get_if<Condition>(&expectation)) {
        test_condition(test.title, *condition);
      }
    }
    for (const Condition& always : test.always) test_condition(test.title, always);
  }
  for (const InvariantDef& invariant : program_.invariants) {
    for (const Condition& always : invariant.always) test_condition(invariant.title, always);
  }
}

}  // namespace sluice::compiler
