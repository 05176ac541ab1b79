#include "vm/ops.hpp"

namespace sluice::vm {
namespace {

constexpr uint8_t kNoRow = 0xff;
static_assert(kOpCount < kNoRow);

constexpr auto kRows = [] {
  std::array<uint8_t, 256> rows{};
  rows.fill(kNoRow);
  for (size_t i = 0; i < kOpCount; ++i) {
    rows[static_cast<uint8_t>(kOps[i].op)] = static_cast<uint8_t>(i);
  }
  return rows;
}();

constexpr bool rows_rise() {
  for (size_t i = 1; i < kOpCount; ++i) {
    if (kOps[i - 1].op >= kOps[i].op) return false;
  }
  for (size_t i = 0; i < kBuiltinCount; ++i) {
    if (static_cast<size_t>(kBuiltins[i].builtin) != i) return false;
  }
  return true;
}
static_assert(rows_rise(), "ops.def rises, builtins.def counts without a gap");

}  // namespace

std::string_view round_word(RoundKind kind) {
  return kind == RoundKind::each ? "each" : "while";
}

const OpInfo* op_info(uint8_t number) {
  uint8_t row = kRows[number];
  return row == kNoRow ? nullptr : &kOps[row];
}

}  // namespace sluice::vm
