#include "tests/fuzz/targets.hpp"
#include "tests/vm/random_program.hpp"
#include "vm/json.hpp"

namespace sluice::fuzz {
namespace {

const vm::TypeTable& types() {
  static const vm::TypeTable table = [] {
    vm::testing::Random random(7);
    return vm::testing::random_types(random);
  }();
  return table;
}

// `decode(text) as T` reads once what is defined as two readings: of the JSON, then of its
// canonical text.
void same_as_canonical(vm::TypeId type, std::string_view text, const vm::Value* value) {
  const auto canonical = vm::canonical_json(text);
  FUZZ_CHECK(canonical.has_value() || value == nullptr);
  if (!canonical) return;
  const auto again = vm::decode_json(types(), type, *canonical, {.ignore_unknown_fields = true});
  FUZZ_CHECK(again.has_value() == (value != nullptr));
  if (again) FUZZ_CHECK(*again == *value);
}

}  // namespace

void json(std::string_view input) {
  if (input.size() < 2) return;
  const auto which = static_cast<std::uint8_t>(input[0]);
  const bool lenient = (static_cast<std::uint8_t>(input[1]) & 1) != 0;
  const vm::TypeId type{which % static_cast<std::uint32_t>(types().types.size())};
  const std::string_view text = input.substr(2);
  vm::JsonReader reader(text);
  const bool well_formed = reader.skip() && reader.finish();
  auto value = vm::decode_json(types(), type, text, {.ignore_unknown_fields = lenient});
  if (lenient) same_as_canonical(type, text, value ? &*value : nullptr);
  if (!value) {
    FUZZ_CHECK(!value.error().empty() && value.error().size() <= vm::kJsonProblemsMax);
    return;
  }
  FUZZ_CHECK(well_formed);
  FUZZ_CHECK(vm::conforms(types(), type, *value));
  std::string out;
  vm::append_json(types(), type, *value, out);
  auto again = vm::decode_json(types(), type, out);
  FUZZ_CHECK(again.has_value() && *again == *value);
  const std::string bytes = vm::encode_value(*value);
  auto back = vm::decode_value(bytes);
  FUZZ_CHECK(back.has_value() && *back == *value && vm::encode_value(*back) == bytes);
}

}  // namespace sluice::fuzz
