#include "compiler/parse.hpp"

#include <fmt/format.h>

#include "FlowParser.h"
#include "compiler/limits.hpp"
#include "compiler/parser/builder.hpp"
#include "compiler/parser/recovery.hpp"
#include "compiler/parser/tokens.hpp"

namespace sluice::compiler {
namespace {

using grammar::FlowParser;

std::unique_ptr<ast::Module> empty_module(const SourceFile& file) {
  auto module = std::make_unique<ast::Module>();
  module->file = file.id();
  module->damage.add_all();
  return module;
}

bool is_readable(const SourceFile& file, Diagnostics& diagnostics) {
  const std::size_t size = file.text().size();
  if (size > kSourceBytesMax) {
    diagnostics
        .report(Code::E0119, Span{file.id(), 0, 0},
                fmt::format("the file has {} bytes; at most {} are read", size, kSourceBytesMax))
        .because(
            "a module of this size is mostly something else by mistake; divide it with `import`");
    return false;
  }
  const auto invalid = file.invalid_utf8_at();
  if (!invalid.has_value()) return true;
  const auto at = static_cast<std::uint32_t>(*invalid);
  const auto byte = static_cast<unsigned char>(file.text()[at]);
  diagnostics
      .report(Code::E0118, Span{file.id(), at, at + 1},
              fmt::format("the byte 0x{:02X} is not UTF-8 text", byte))
      .because("source files are UTF-8; save the file in that encoding");
  return false;
}

// The fast way: no error is told, the first one ends it.
FlowParser::FileContext* parse_or_bail(FlowParser& parser) {
  auto* simulator = parser.getInterpreter<antlr4::atn::ParserATNSimulator>();
  simulator->setPredictionMode(antlr4::atn::PredictionMode::SLL);
  parser.setErrorHandler(std::make_shared<antlr4::BailErrorStrategy>());
  try {
    return parser.file();
  } catch (const antlr4::ParseCancellationException&) {
    return nullptr;
  }
}

}  // namespace

ParseResult parse(const SourceFile& file, Diagnostics& diagnostics) {
  ParseResult result;
  const std::size_t errors_before = diagnostics.error_count();
  if (!is_readable(file, diagnostics)) {
    result.module = empty_module(file);
    return result;
  }
  TokenList list = read_tokens(file, diagnostics);
  if (list.too_deep) {
    result.module = empty_module(file);
    return result;
  }
  FlowTokenStream stream(list.tokens);
  FlowParser parser(&stream);
  parser.removeErrorListeners();
  FlowParser::FileContext* tree = parse_or_bail(parser);
  if (tree == nullptr) {
    stream.seek(0);
    parser.reset();
    auto* simulator = parser.getInterpreter<antlr4::atn::ParserATNSimulator>();
    simulator->setPredictionMode(antlr4::atn::PredictionMode::LL);
    parser.setErrorHandler(std::make_shared<Recovery>(list, diagnostics));
    tree = parser.file();
  }
  list.damage.settle();
  result.module = Builder(file, list, diagnostics).build(tree);
  result.ok = diagnostics.error_count() == errors_before;
  return result;
}

}  // namespace sluice::compiler
