#include "vm/dataflow.hpp"

#include <algorithm>
#include <bit>

#include "vm/operands.hpp"

namespace sluice::vm {
namespace {

// Words touched by both analyses of one function; a flow graph that needs more passes than any
// honest one is refused.
constexpr uint64_t kWorkMax = uint64_t{1} << 28;

// Registers as bits, a row of words per basic block.
class Rows {
 public:
  Rows(size_t rows, size_t words, uint64_t fill) : words_(words), bits_(rows * words, fill) {}
  uint64_t* operator[](size_t row) { return bits_.data() + row * words_; }

 private:
  size_t words_;
  std::vector<uint64_t> bits_;
};

void set_range(uint64_t* row, RegisterRange range) {
  for (uint32_t r = range.first; r < range.first + range.count; ++r) row[r / 64] |= 1ULL << r % 64;
}
void clear_range(uint64_t* row, RegisterRange range) {
  for (uint32_t r = range.first; r < range.first + range.count; ++r) {
    row[r / 64] &= ~(1ULL << r % 64);
  }
}
bool has(const uint64_t* row, uint32_t r) {
  return (row[r / 64] >> r % 64 & 1) != 0;
}

struct Block {
  uint32_t begin = 0;
  uint32_t end = 0;
  std::vector<uint32_t> next;      // blocks
  std::vector<uint32_t> handlers;  // indices of handlers that cover the block
};

class Analysis {
 public:
  Analysis(const Program& program, const Function& function)
      : program_(program), function_(function), words_((function.registers + 63U) / 64) {}

  tl::expected<FunctionFacts, CodeError> run() {
    if (!split()) return tl::unexpected(CodeError{0, "is too complex to verify"});
    if (uint64_t{blocks_.size()} * std::max<uint64_t>(function_.registers, 64) > kDataflowBitsMax) {
      return tl::unexpected(CodeError{0, "is too complex to verify"});
    }
    if (auto error = check_defined()) return tl::unexpected(std::move(*error));
    return find_live();
  }

 private:
  const Instruction& at(uint32_t pc) const { return function_.code[pc]; }

  std::vector<uint32_t> successors(uint32_t pc) const {
    const Instruction& i = at(pc);
    if (op_info(i.op)->effect == Effect::ends) return {};
    if (i.op == Op::jump) return {i.wide()};
    if (may_jump(i.op)) return {pc + 1, i.wide()};
    if (may_skip(i.op)) return {pc + 1, pc + 2};
    return {pc + 1};
  }

  // Basic blocks; handlers begin and end at their borders.
  bool split() {
    auto size = static_cast<uint32_t>(function_.code.size());
    std::vector<bool> leads(size + 1);
    leads[0] = true;
    for (uint32_t pc = 0; pc < size; ++pc) {
      std::vector<uint32_t> next = successors(pc);
      if (next.size() == 1 && next[0] == pc + 1) continue;
      leads[pc + 1] = true;
      for (uint32_t to : next) leads[to] = true;
    }
    for (const Handler& handler : function_.handlers) {
      leads[handler.begin_pc] = leads[handler.end_pc] = leads[handler.handler_pc] = true;
    }
    block_of_.resize(size);
    for (uint32_t pc = 0; pc < size; ++pc) {
      if (leads[pc]) blocks_.push_back({pc, pc, {}, {}});
      block_of_[pc] = static_cast<uint32_t>(blocks_.size() - 1);
      blocks_.back().end = pc + 1;
    }
    for (Block& block : blocks_) {
      for (uint32_t to : successors(block.end - 1)) block.next.push_back(block_of_[to]);
    }
    size_t covered = 0;
    for (uint32_t h = 0; h < function_.handlers.size(); ++h) {
      const Handler& handler = function_.handlers[h];
      for (uint32_t pc = handler.begin_pc; pc < handler.end_pc; pc = blocks_[block_of_[pc]].end) {
        blocks_[block_of_[pc]].handlers.push_back(h);
        if (++covered > kCoveredMax) return false;
      }
    }
    return true;
  }

  bool spend(uint64_t words) { return (work_ += words) <= kWorkMax; }

  // Meets `state` into the entry of a block; answers whether that changed.
  static bool meet(uint64_t* entry, const uint64_t* state, size_t words) {
    bool changed = false;
    for (size_t w = 0; w < words; ++w) {
      uint64_t met = entry[w] & state[w];
      changed |= met != entry[w];
      entry[w] = met;
    }
    return changed;
  }

  // Forward: what is written on every way to here.
  std::optional<CodeError> check_defined() {
    Rows entry(blocks_.size(), words_, ~0ULL);
    std::fill_n(entry[0], words_, 0);
    set_range(entry[0], {0, function_.parameters});
    std::vector<uint64_t> state(words_);
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t b = 0; b < blocks_.size(); ++b) {
        const Block& block = blocks_[b];
        if (!spend(words_ * (2 + block.next.size() + block.handlers.size()))) {
          return CodeError{block.begin, "is too complex to verify"};
        }
        std::copy_n(entry[b], words_, state.begin());
        for (uint32_t h : block.handlers) changed |= meet_handler(entry, state, h);
        for (uint32_t pc = block.begin; pc < block.end; ++pc) define(state.data(), pc);
        for (uint32_t to : block.next) changed |= meet(entry[to], state.data(), words_);
      }
    }
    for (size_t b = 0; b < blocks_.size(); ++b) {
      std::copy_n(entry[b], words_, state.begin());
      for (uint32_t h : blocks_[b].handlers) {
        const Handler& handler = function_.handlers[h];
        if (handler.flags != Handler::kHandlerDeadline) continue;
        if (has(state.data(), handler.failure_register)) continue;
        return CodeError{blocks_[b].begin, "has a deadline without its timer"};
      }
      for (uint32_t pc = blocks_[b].begin; pc < blocks_[b].end; ++pc) {
        for (const RegisterRange& range : register_use(program_, at(pc)).reads) {
          for (uint32_t r = range.first; r < range.first + range.count; ++r) {
            if (has(state.data(), r)) continue;
            return CodeError{pc, "reads r" + std::to_string(r) + " before it is written"};
          }
        }
        define(state.data(), pc);
      }
    }
    return std::nullopt;
  }

  // A failure comes before anything the block writes; the handler's register is written on the way.
  bool meet_handler(Rows& entry, std::vector<uint64_t> state, uint32_t h) {
    const Handler& handler = function_.handlers[h];
    if (handler.failure_register != kNoRegister) {
      set_range(state.data(), {handler.failure_register, 1});  // a deadline's is set already
    }
    return meet(entry[block_of_[handler.handler_pc]], state.data(), words_);
  }

  void define(uint64_t* state, uint32_t pc) const {
    for (const RegisterRange& range : register_use(program_, at(pc)).writes)
      set_range(state, range);
  }

  // What the handlers of a block need: live throughout the block, whatever the block writes.
  void add_handlers(uint64_t* state, const Block& block, Rows& live) {
    std::vector<uint64_t> wanted(words_);
    for (uint32_t h : block.handlers) {
      const Handler& handler = function_.handlers[h];
      std::copy_n(live[block_of_[handler.handler_pc]], words_, wanted.begin());
      if (handler.flags == Handler::kHandlerDeadline) {
        set_range(wanted.data(), {handler.failure_register, 1});
      } else if (handler.failure_register != kNoRegister) {
        clear_range(wanted.data(), {handler.failure_register, 1});
      }
      for (size_t w = 0; w < words_; ++w) state[w] |= wanted[w];
    }
  }

  // Registers live before the block, from those live after it; `wait` is told of each suspension.
  template <class Wait>
  void walk_back(const Block& block, std::vector<uint64_t>& state,
                 const std::vector<uint64_t>& kept, Wait wait) {
    for (uint32_t pc = block.end; pc-- > block.begin;) {
      RegisterUse use = register_use(program_, at(pc));
      for (const RegisterRange& range : use.writes) clear_range(state.data(), range);
      for (size_t w = 0; w < words_; ++w) state[w] |= kept[w];
      set_range(state.data(), kept_while_waiting(program_, at(pc)));
      const bool suspends = op_info(at(pc).op)->effect == Effect::suspends;
      if (suspends && !waits_before(at(pc).op)) wait(pc, state);
      for (const RegisterRange& range : use.reads) set_range(state.data(), range);
      if (suspends && waits_before(at(pc).op)) wait(pc, state);
    }
  }

  void live_after(const Block& block, Rows& live, std::vector<uint64_t>& state,
                  std::vector<uint64_t>& kept) {
    std::fill(state.begin(), state.end(), 0);
    std::fill(kept.begin(), kept.end(), 0);
    for (uint32_t to : block.next) {
      for (size_t w = 0; w < words_; ++w) state[w] |= live[to][w];
    }
    add_handlers(kept.data(), block, live);
    for (size_t w = 0; w < words_; ++w) state[w] |= kept[w];
  }

  tl::expected<FunctionFacts, CodeError> find_live() {
    Rows live(blocks_.size(), words_, 0);
    std::vector<uint64_t> state(words_), kept(words_);
    auto nothing = [](uint32_t, const std::vector<uint64_t>&) {};
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t b = blocks_.size(); b-- > 0;) {
        const Block& block = blocks_[b];
        if (!spend(words_ *
                   (3 + (block.end - block.begin) + block.next.size() + block.handlers.size()))) {
          return tl::unexpected(CodeError{block.begin, "is too complex to verify"});
        }
        live_after(block, live, state, kept);
        walk_back(block, state, kept, nothing);
        if (std::equal(state.begin(), state.end(), live[b])) continue;
        std::copy(state.begin(), state.end(), live[b]);
        changed = true;
      }
    }
    FunctionFacts facts;
    size_t kept_registers = 0;
    for (const Block& block : blocks_) {
      live_after(block, live, state, kept);
      size_t first = facts.suspensions.size();
      walk_back(block, state, kept, [&](uint32_t pc, const std::vector<uint64_t>& bits) {
        if (kept_registers <= kLiveMax) facts.suspensions.push_back({pc, registers_of(bits)});
        kept_registers += facts.suspensions.back().live.size();
      });
      std::reverse(facts.suspensions.begin() + static_cast<ptrdiff_t>(first),
                   facts.suspensions.end());
    }
    if (kept_registers > kLiveMax) {
      return tl::unexpected(CodeError{0, "is too complex to verify"});
    }
    std::copy_n(live[0], words_, state.begin());
    for (uint16_t r : registers_of(state)) {
      if (r < function_.parameters) facts.live_parameters.push_back(r);
    }
    return facts;
  }

  static std::vector<uint16_t> registers_of(const std::vector<uint64_t>& bits) {
    std::vector<uint16_t> registers;
    for (size_t w = 0; w < bits.size(); ++w) {
      for (uint64_t word = bits[w]; word != 0; word &= word - 1) {
        registers.push_back(static_cast<uint16_t>(w * 64 + std::countr_zero(word)));
      }
    }
    return registers;
  }

  static constexpr size_t kLiveMax = size_t{4} << 20;     // registers over all suspensions
  static constexpr size_t kCoveredMax = size_t{4} << 20;  // blocks over all handlers

  const Program& program_;
  const Function& function_;
  size_t words_;
  std::vector<Block> blocks_;
  std::vector<uint32_t> block_of_;
  uint64_t work_ = 0;
};

}  // namespace

tl::expected<FunctionFacts, CodeError> analyse_registers(const Program& program,
                                                         const Function& function) {
  return Analysis(program, function).run();
}

}  // namespace sluice::vm
