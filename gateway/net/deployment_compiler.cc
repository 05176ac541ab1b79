#include "gateway/net/deployment_compiler.hpp"

#include <fmt/format.h>

#include "compiler/compile.hpp"
#include "engine/schedule/instants.hpp"
#include "gateway/limits.hpp"
#include "vm/json_reader.hpp"

namespace sluice::gateway {
namespace {

using compiler::Diagnostic;
using compiler::SourceSet;
using compiler::Span;

void append_place(std::string& out, const SourceSet& sources, Span span) {
  const compiler::SourceFile& file = sources.file(span.file);
  const compiler::Position begin = file.position(span.begin);
  const compiler::Position end = file.position(span.end);
  out += ",\"file\":";
  vm::append_json_string(file.path(), out);
  out += fmt::format(R"(,"line":{},"column":{},"end_line":{},"end_column":{})", begin.line,
                     begin.column, end.line, end.column);
}

void append_diagnostic(std::string& out, const SourceSet& sources, const Diagnostic& diagnostic) {
  out += fmt::format(R"({{"code":"{}","severity":"{}","message":)",
                     compiler::info(diagnostic.code).name,
                     diagnostic.severity == compiler::Severity::kError ? "error" : "warning");
  vm::append_json_string(diagnostic.message, out);
  append_place(out, sources, diagnostic.span);
  if (!diagnostic.primary_label.empty()) {
    out += ",\"label\":";
    vm::append_json_string(diagnostic.primary_label, out);
  }
  out += ",\"labels\":[";
  for (std::size_t i = 0; i < diagnostic.labels.size(); ++i) {
    out += i > 0 ? ",{\"text\":" : "{\"text\":";
    vm::append_json_string(diagnostic.labels[i].text, out);
    append_place(out, sources, diagnostic.labels[i].span);
    out += '}';
  }
  out += ']';
  if (!diagnostic.note.empty()) {
    out += ",\"note\":";
    vm::append_json_string(diagnostic.note, out);
  }
  out += '}';
}

}  // namespace

CompiledSources compile_sources(const std::map<std::string, std::string>& sources) {
  SourceSet set;
  for (const auto& [path, text] : sources) set.add(path, text);
  compiler::Diagnostics diagnostics;
  compiler::CompileResult result = compiler::compile(
      set, diagnostics, {.deploying = true, .zones = schedule::zone_names});
  CompiledSources compiled;
  compiled.errors = diagnostics.error_count();
  compiled.diagnostics_json = "[";
  for (const Diagnostic& diagnostic : diagnostics.items()) {
    if (compiled.diagnostics_json.size() > 1) compiled.diagnostics_json += ',';
    append_diagnostic(compiled.diagnostics_json, set, diagnostic);
  }
  compiled.diagnostics_json += ']';
  if (result.artifact) compiled.artifact = std::move(*result.artifact);
  return compiled;
}

DeploymentCompiler::DeploymentCompiler() : thread_([this] { run(); }) {}

DeploymentCompiler::~DeploymentCompiler() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  thread_.join();
}

bool DeploymentCompiler::submit(std::map<std::string, std::string> sources, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= limits::kDeploymentsWaiting) return false;
    jobs_.push_back({std::move(sources), std::move(done)});
  }
  wake_.notify_one();
  return true;
}

void DeploymentCompiler::run() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job.done(compile_sources(job.sources));
  }
}

}  // namespace sluice::gateway
