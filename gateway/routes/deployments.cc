// POST /v1/deployments, GET /v1/deployments, GET /v1/deployments/{id}.
#include <fmt/format.h>

#include "gateway/limits.hpp"
#include "gateway/net/deployment_compiler.hpp"
#include "gateway/routes/deployment_bodies.hpp"
#include "gateway/routes/event_bodies.hpp"
#include "gateway/routes/router.hpp"

namespace sluice::gateway {
namespace {

void append_deployment(std::string& out, const node::Deployment& deployment) {
  out += fmt::format(R"({{"id":"{}","hash":"{}","created":{},"flows":[)", deployment.number,
                     deployment.hash, time_json(deployment.created_us));
  const vm::Program& program = deployment.program->program();
  for (std::size_t i = 0; i < program.flows.size(); ++i) {
    if (i > 0) out += ',';
    vm::append_json_string(program.flows[i].name, out);
  }
  out += R"(],"topics":[)";
  for (std::size_t i = 0; i < program.topics.size(); ++i) {
    if (i > 0) out += ',';
    vm::append_json_string(program.topics[i].name, out);
  }
  out += ']';
}

bool is_true(const std::optional<std::string>& value) {
  return value && (*value == "true" || value->empty());
}

using Deployments = std::vector<std::shared_ptr<const node::Deployment>>;

void append_listed(std::string& out, Exchange& exchange, const node::Deployment& deployment) {
  const auto current = exchange.node().current_deployment();
  append_deployment(out, deployment);
  const bool active = current && current->number == deployment.number;
  out += active ? R"(,"active":true})" : R"(,"active":false})";
}

void deploy(const ExchangePtr& exchange, std::string artifact, std::string diagnostics) {
  const bool force = is_true(exchange->request().parameter("force"));
  exchange->wait(limits::kDeploymentTimeout);
  exchange->node().deploy(
      std::move(artifact), force,
      exchange->callback<node::Deployed>(
          [diagnostics = std::move(diagnostics)](Exchange& open, node::Deployed&& deployed) {
            std::string body;
            append_deployment(body, *deployed.deployment);
            body += ",\"diagnostics\":" + diagnostics + "}";
            open.respond_json(deployed.known ? 200 : 201, std::move(body));
          }));
}

void compile_and_deploy(const ExchangePtr& exchange, Sources sources) {
  exchange->wait(limits::kDeploymentTimeout);
  Shard& shard = exchange->shard();
  const bool taken = shard.gateway().compiler().submit(
      std::move(sources), [&shard, id = exchange->id()](CompiledSources compiled) {
        auto result = std::make_shared<CompiledSources>(std::move(compiled));
        shard.post([&shard, id, result] {
          const ExchangePtr open = shard.find_exchange(id);
          if (!open || open->answered()) return;
          if (result->artifact.empty()) {
            return open->problem(
                ErrorCode::compile,
                {.message = fmt::format("the sources have {} error{}", result->errors,
                                        result->errors == 1 ? "" : "s"),
                 .extra = ",\"diagnostics\":" + result->diagnostics_json});
          }
          deploy(open, std::move(result->artifact), std::move(result->diagnostics_json));
        });
      });
  if (!taken)
    exchange->problem(ErrorCode::busy, {.message = "other deployments are being compiled"});
}

}  // namespace

void post_deployment(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request();
  if (const auto activate = request.parameter("activate"); activate && *activate != "true") {
    return exchange->problem(ErrorCode::bad_request,
                             {.message = "this version deploys with activate=true only"});
  }
  for (const std::string_view later : {"canary", "shadow"}) {
    if (request.parameter(later)) {
      return exchange->problem(
          ErrorCode::bad_request,
          {.message = fmt::format("`{}` is not served by this version", later)});
    }
  }
  if (media_type(request.content_type) == "application/vnd.sluice.artifact") {
    return deploy(exchange, request.body, "[]");
  }
  auto sources = read_sources(request.content_type, request.body);
  if (!sources) {
    return exchange->problem(sources.error().code, details_of(sources.error()));
  }
  compile_and_deploy(exchange, std::move(*sources));
}

void get_deployments(const ExchangePtr& exchange) {
  exchange->wait();
  exchange->node().read_deployments(
      exchange->callback<Deployments>([](Exchange& open, Deployments&& deployments) {
        std::string body = R"({"items":[)";
        bool first = true;
        for (const auto& deployment : deployments) {
          if (!std::exchange(first, false)) body += ',';
          append_listed(body, open, *deployment);
        }
        open.respond_json(200, body + "],\"next\":null}");
      }));
}

void get_deployment(const ExchangePtr& exchange) {
  exchange->wait();
  exchange->node().read_deployments(
      exchange->callback<Deployments>([](Exchange& open, Deployments&& deployments) {
        for (const auto& deployment : deployments) {
          if (std::to_string(deployment->number) != open.request().path[2]) continue;
          std::string body;
          append_listed(body, open, *deployment);
          return open.respond_json(200, std::move(body));
        }
        open.problem(ErrorCode::not_found, {.message = "there is no such deployment"});
      }));
}

}  // namespace sluice::gateway
