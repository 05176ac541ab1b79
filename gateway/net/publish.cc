#include "gateway/net/publish.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/limits.hpp"
#include "gateway/net/shard.hpp"
#include "vm/engine_events.hpp"
#include "vm/evaluator.hpp"

namespace sluice::gateway {
namespace {

using vm::JsonProblem;

InputError invalid(std::vector<JsonProblem> problems) {
  InputError error;
  const bool malformed = std::any_of(problems.begin(), problems.end(),
                                     [](const JsonProblem& problem) { return problem.malformed; });
  error.code = ErrorCode::invalid;
  error.malformed = malformed;
  if (!problems.empty()) {
    const JsonProblem& first = problems.front();
    error.message =
        first.path.empty() ? first.message : fmt::format("{}: {}", first.path, first.message);
  }
  error.errors = std::move(problems);
  return error;
}

InputError invalid(std::string message) {
  return invalid({JsonProblem{"", std::move(message), false}});
}

}  // namespace

tl::expected<node::PublishRequest, InputError> make_publish(Shard& shard,
                                                            const PublishInput& input) {
  ProgramView* view = shard.current_program();
  const auto unknown = [&] {
    return tl::unexpected(InputError{
        ErrorCode::unknown_topic, fmt::format("there is no topic `{}`", input.topic), {}});
  };
  if (view == nullptr) return unknown();
  const auto found = view->topics.find(input.topic);
  if (found == view->topics.end()) return unknown();
  const vm::Program& program = view->program();
  const vm::TopicInfo& topic = program.topics[found->second];
  const auto type = view->topic_types[found->second];
  if (!type) {
    return tl::unexpected(
        InputError{ErrorCode::fault, "the artifact lacks the type of the topic's event", {}});
  }
  const auto value = vm::decode_event(view->unit, topic.event, *type, input.data, input.version);
  if (!value) return tl::unexpected(invalid(value.error()));
  node::PublishRequest request;
  if (topic.order_function) {
    auto key = vm::order_key(view->unit, found->second, *value);
    if (!key)
      return tl::unexpected(invalid("the ordering key cannot be computed: " + key.error().message));
    request.order_key = std::move(*key);
  } else if (input.client.empty()) {
    return tl::unexpected(invalid("the topic is ordered by client, and no client is named"));
  } else {
    request.order_key = input.client;
  }
  request.tenant = input.tenant;
  request.client = input.client;
  request.topic = found->second;
  request.deployment = view->deployment->number;
  request.id = input.id;
  vm::encode_value(*value, request.data);
  request.correlation = input.correlation;
  request.traceparent = input.traceparent;
  request.ttl_ms = input.ttl_ms;
  return request;
}

tl::expected<node::StartRequest, InputError> make_start(Shard& shard, const StartInput& input) {
  ProgramView* view = shard.current_program();
  const auto unknown = [&] {
    return tl::unexpected(
        InputError{ErrorCode::unknown_flow, fmt::format("there is no flow `{}`", input.flow), {}});
  };
  if (view == nullptr) return unknown();
  const auto found = view->flows.find(input.flow);
  if (found == view->flows.end()) return unknown();
  const vm::Program& program = view->program();
  std::vector<vm::JsonParameter> parameters;
  for (const vm::Parameter& parameter : program.flows[found->second].parameters) {
    parameters.push_back({parameter.name, parameter.type});
  }
  auto values = vm::decode_parameters(view->unit, parameters, input.parameters);
  if (!values) return tl::unexpected(invalid(std::move(values.error())));
  node::StartRequest request;
  request.tenant = input.tenant;
  request.client = input.client;
  request.flow = found->second;
  request.deployment = view->deployment->number;
  request.id = input.id;
  request.args = vm::encode_value(vm::Value::list(std::move(*values)));
  request.correlation = input.correlation;
  request.traceparent = input.traceparent;
  return request;
}

tl::expected<node::SignalRequest, InputError> make_signal(Shard& shard, const SignalInput& input,
                                                          const node::RunProgram& of) {
  ProgramView* view = shard.view_of(of.deployment);
  const vm::Program& program = view->program();
  const auto event = vm::find_by_name(program.events, input.event);
  const auto flow = vm::find_by_name(program.flows, of.flow);
  const bool received =
      event && flow && !program.events[*event].name.starts_with(vm::kEngineEvents) &&
      std::any_of(program.receives.begin(), program.receives.end(), [&](const auto& site) {
        return site.flow == *flow && site.event == *event && !site.topic;
      });
  if (!received) {
    return tl::unexpected(InputError{
        ErrorCode::unexpected,
        fmt::format("no `receive` of `{}` takes `{}` from the client", of.flow, input.event),
        {}});
  }
  const auto type = type_of_record(program.types, program.events[*event].record);
  if (!type) {
    return tl::unexpected(InputError{ErrorCode::fault, "the artifact lacks the event's type", {}});
  }
  const auto value = vm::decode_event(view->unit, *event, *type, input.data, input.version);
  if (!value) return tl::unexpected(invalid(value.error()));
  node::SignalRequest request;
  request.tenant = of.tenant;
  request.client = input.client;
  request.run = input.run;
  request.deployment = of.deployment->number;
  request.event = *event;
  request.id = input.id;
  vm::encode_value(*value, request.data);
  return request;
}

tl::expected<std::string, ResultError> encode_result(Shard& shard, const node::Lease& lease,
                                                     std::string_view result_json, bool* known) {
  ProgramView* view = shard.program(lease.deployment);
  *known = view != nullptr && lease.task < view->program().tasks.size();
  if (!*known) return std::string();
  const vm::TypeId type = view->program().tasks[lease.task].result;
  const bool absent = result_json.empty() || result_json == "null";
  if (type == vm::kTypeNone) {
    if (absent) return std::string();
    return tl::unexpected(ResultError{"the task has no result, and one was reported"});
  }
  const auto value = vm::decode_checked(view->unit, type, absent ? "null" : result_json,
                                        {.ignore_unknown_fields = true});
  if (!value) {
    return tl::unexpected(
        ResultError{"the result is not of the task's type: " + vm::list_problems(value.error())});
  }
  return vm::encode_value(*value);
}

}  // namespace sluice::gateway
