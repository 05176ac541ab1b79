#include "compiler/compile.hpp"
#include "compiler/format.hpp"
#include "compiler/parse.hpp"
#include "compiler/render.hpp"
#include "tests/fuzz/targets.hpp"
#include "vm/verifier.hpp"

namespace sluice::fuzz {

using namespace sluice::compiler;

void parse(std::string_view input) {
  SourceSet sources;
  const SourceFile& file = sources.file(sources.add("fuzz.flow", "fuzz", std::string(input)));
  Diagnostics diagnostics;
  const ParseResult result = compiler::parse(file, diagnostics);
  FUZZ_CHECK(result.module != nullptr);
  FUZZ_CHECK(result.ok != diagnostics.has_errors());
  for (const Diagnostic& each : diagnostics.items()) {
    FUZZ_CHECK(each.span.begin <= each.span.end && each.span.end <= input.size());
  }
  FUZZ_CHECK(diagnostics.items().empty() || !render_text(diagnostics, sources, {}).empty());
  FUZZ_CHECK(!render_json(diagnostics, sources).empty());
  Diagnostics unused;
  const auto once = format(file, unused);
  FUZZ_CHECK(once.has_value() == result.ok);
  if (!once) return;
  SourceSet formatted;
  const auto twice = format(formatted.file(formatted.add("fuzz.flow", "fuzz", *once)), unused);
  FUZZ_CHECK(twice.has_value() && *twice == *once);
}

void check(std::string_view input) {
  std::string bytes[2];
  for (std::string& artifact : bytes) {
    SourceSet sources;
    sources.add("fuzz.flow", "fuzz", std::string(input));
    Diagnostics diagnostics;
    const CompileResult result = compile(sources, diagnostics, {.tests = true});
    FUZZ_CHECK(result.artifact.has_value() != diagnostics.has_errors());
    FUZZ_CHECK(!render_json(diagnostics, sources).empty());
    if (!result.artifact) return;
    artifact = *result.artifact;
  }
  FUZZ_CHECK(bytes[0] == bytes[1]);
  auto program = vm::load_artifact(bytes[0]);
  if (!program) std::fprintf(stderr, "%s\n", program.error().message.c_str());
  FUZZ_CHECK(program.has_value());
}

}  // namespace sluice::fuzz
