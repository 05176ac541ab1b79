#include "compiler/compile.hpp"

#include <set>
#include <vector>

#include "compiler/check/check.hpp"
#include "compiler/codegen/codegen.hpp"
#include "compiler/consequences.hpp"
#include "compiler/parse.hpp"
#include "compiler/stdlib.hpp"

namespace sluice::compiler {

namespace {

// Parses the given files, then each standard module that is imported, once.
class Loader {
 public:
  Loader(SourceSet& sources, Diagnostics& diagnostics)
      : sources_(sources), diagnostics_(diagnostics) {}

  void run() {
    const std::size_t given = sources_.size();
    for (std::size_t i = 0; i < given; ++i) load(static_cast<FileId>(i));
    for (std::size_t i = 0; i < trees.size(); ++i) {
      for (const ast::Import& import : trees[i]->imports) load_standard(import.module.text());
    }
  }

  std::vector<std::unique_ptr<ast::Module>> trees;
  std::set<FileId> standard;

 private:
  void load(FileId file) { trees.push_back(parse(sources_.file(file), diagnostics_).module); }

  void load_standard(const std::string& name) {
    const auto found = find_standard_module(name);
    if (!found || !loaded_.insert(name).second) return;
    const FileId file =
        sources_.add(std::string(found->path), std::string(found->name), std::string(found->text));
    standard.insert(file);
    load(file);
  }

  SourceSet& sources_;
  Diagnostics& diagnostics_;
  std::set<std::string> loaded_;
};

void refuse_unexecuted(const ir::Program& program, Diagnostics& diagnostics) {
  for (const ir::Unexecuted& each : program.unexecuted) {
    diagnostics
        .report(each.code, each.span,
                "the engine does not execute `" + std::string(each.feature) + "` yet")
        .because(
            "it would be ignored, so a deployment that says it is refused; `flowc check`, "
            "`flowc test` and `flowc sim` take it");
  }
}

// The standard library is not the author's, and its policies may never be used.
void warn_of_unexecuted(const ir::Program& program, const std::set<FileId>& standard,
                        Diagnostics& diagnostics) {
  for (const ir::Unexecuted& each : program.unexecuted) {
    if (standard.contains(each.span.file)) continue;
    diagnostics
        .report(Code::W0016, each.span,
                "a deployment with `" + std::string(each.feature) + "` is refused")
        .because("it is checked and built, but the engine does not execute it yet: `flowc help " +
                 std::string(info(each.code).name) + "`");
  }
}

}  // namespace

CompileResult compile(SourceSet& sources, Diagnostics& diagnostics, const CompileOptions& options) {
  CompileResult result;
  Loader loader(sources, diagnostics);
  loader.run();
  result.program =
      check(sources, loader.standard, std::move(loader.trees), diagnostics, options.zones);
  if (options.deploying) {
    refuse_unexecuted(*result.program, diagnostics);
  } else {
    warn_of_unexecuted(*result.program, loader.standard, diagnostics);
  }
  if (!diagnostics.has_errors()) {
    result.artifact =
        generate(*result.program, sources, diagnostics, options, &result.test_functions);
  }
  diagnostics.sort();
  settle_consequences(sources, *result.program, diagnostics);
  return result;
}

}  // namespace sluice::compiler
