#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "compiler/compile.hpp"
#include "compiler/flowc/command.hpp"
#include "compiler/flowc/inputs.hpp"
#include "engine/schedule/instants.hpp"
#include "vm/artifact.hpp"
#include "vm/disasm.hpp"

namespace sluice::flowc {
namespace {

// Larger artifacts than any program within the compiler's limits makes.
constexpr std::size_t kArtifactBytesMax = 64u * 1'048'576;

bool names_source(const std::string& path) {
  return path.ends_with(kSourceExtension) || path.find_first_of("*?[") != std::string::npos ||
         std::filesystem::is_directory(path);
}

int show(std::string_view bytes, const std::string& origin) {
  const auto program = vm::decode_artifact(bytes);
  if (!program) {
    return fail(kFindings, fmt::format("`{}` is no artifact: {}", origin, program.error().message));
  }
  std::cout << vm::disassemble(*program);
  return kDone;
}

int disasm_sources(const std::vector<std::string>& paths) {
  compiler::Diagnostics diagnostics;
  auto sources = read_sources(paths, diagnostics);
  if (!sources) return fail(kUsage, sources.error());
  const auto result = compiler::compile(*sources, diagnostics, {.zones = schedule::zone_names});
  print_diagnostics(diagnostics, *sources, Format::kText);
  if (!result.artifact.has_value()) return kFindings;
  return show(*result.artifact, paths.front());
}

int disasm(const std::vector<std::string>& paths) {
  if (names_source(paths.front())) return disasm_sources(paths);
  if (paths.size() > 1) return fail(kUsage, "one artifact at a time");
  if (const auto found = find_inputs(paths); !found) return fail(kUsage, found.error());
  const auto file = read_file(paths.front(), kArtifactBytesMax);
  if (!file) return fail(kUsage, file.error());
  if (file->size > kArtifactBytesMax) {
    return fail(kFindings, fmt::format("`{}` is too large for an artifact", paths.front()));
  }
  return show(file->text, paths.front());
}

}  // namespace

void add_disasm_command(CLI::App& app, int& exit_code) {
  auto paths = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("disasm", "Shows the instructions of a program");
  command->add_option("PATH", *paths, "An artifact, or sources to be compiled; - is an artifact")
      ->required();
  command->footer(
      "\nExamples:\n"
      "  flowc disasm support.sluice\n"
      "  flowc disasm examples/support");
  command->callback([paths, &exit_code] { exit_code = disasm(*paths); });
}

}  // namespace sluice::flowc
