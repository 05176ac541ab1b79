#include "gateway/codec/worker_frames.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "gateway/limits.hpp"

namespace sluice::gateway {
namespace {

struct VerbRow {
  std::string_view t;  // empty: no frame, only a body
  WorkerVerb verb;
  std::uint32_t required;
  std::uint32_t optional;
};

constexpr std::array kVerbs = {
    VerbRow{"done", WorkerVerb::kDone, kFieldLease, kFieldResult},
    VerbRow{"renew", WorkerVerb::kRenew, kFieldLease, 0},
    VerbRow{"stream", WorkerVerb::kStream, kFieldLease | kFieldN | kFieldData, 0},
    VerbRow{"credit", WorkerVerb::kCredit, kFieldN, 0},
    VerbRow{"failed", WorkerVerb::kFailed, kFieldLease | kFieldKind,
            kFieldMessage | kFieldRetry | kFieldRetryAfter},
    VerbRow{"hello", WorkerVerb::kHello, kFieldWorker | kFieldTasks,
            kFieldToken | kFieldCredit | kFieldReclaim},
    VerbRow{"bye", WorkerVerb::kBye, 0, 0},
    VerbRow{"refresh", WorkerVerb::kRefresh, kFieldToken, 0},
    VerbRow{"ping", WorkerVerb::kPing, 0, 0},
    VerbRow{"", WorkerVerb::kPoll, kFieldWorker | kFieldTasks, kFieldN | kFieldWait},
};

std::string check_sizes(FrameFields& fields, std::uint32_t known) {
  const auto given = [&](std::uint32_t field) { return (known & field) != 0 && fields.has(field); };
  if (given(kFieldWorker) && (fields.worker.empty() || fields.worker.size() > limits::kNameBytes)) {
    return fmt::format("`worker` has 1 to {} bytes", limits::kNameBytes);
  }
  if (given(kFieldTasks)) {
    if (fields.tasks.size() > limits::kWorkerTasks) return "`tasks` has too many names";
    for (const std::string& task : fields.tasks) {
      if (task.empty() || task.size() > limits::kNameBytes)
        return "a name in `tasks` is empty or too long";
    }
  }
  if (given(kFieldReclaim) && fields.reclaim.size() > limits::kWorkerReclaims) {
    return "`reclaim` has too many leases";
  }
  if (given(kFieldToken) && fields.token.size() > limits::kTokenBytes) return "`token` is too long";
  if (given(kFieldKind)) {
    if (fields.kind.empty()) return "`kind` is empty";
    cut_text(fields.kind, limits::kKindBytes);
  }
  if (given(kFieldMessage)) cut_text(fields.message, limits::kMessageBytes);
  fields.credit = std::min<std::uint64_t>(fields.credit, limits::kCreditMax);
  // Of `credit` and `poll`: so many tasks. A piece's number is none.
  if (given(kFieldN) && !given(kFieldLease))
    fields.n = std::min<std::uint64_t>(fields.n, limits::kCreditMax);
  fields.retry_after_ms = std::min(fields.retry_after_ms, limits::kRetryAfterMsMax);
  return {};
}

WorkerParse check(const VerbRow& row, std::uint32_t required, FrameFields& fields) {
  const std::uint32_t known = row.required | row.optional;
  if (const std::uint32_t wrong = fields.wrong & known; wrong != 0) {
    return {false, row.verb, fmt::format("`{}` is of the wrong type", field_name(wrong))};
  }
  if (const std::uint32_t missing = required & ~fields.present; missing != 0) {
    return {false, row.verb, fmt::format("`{}` is missing", field_name(missing))};
  }
  std::string message = check_sizes(fields, known);
  return {message.empty(), row.verb, std::move(message)};
}

void append_text(std::string& out, std::string_view name, std::string_view text) {
  out += ",\"";
  out += name;
  out += "\":";
  vm::append_json_string(text, out);
}

void append_lease_frame(std::string& out, std::string_view t, std::string_view lease) {
  out += R"({"t":")";
  out += t;
  out += '"';
  append_text(out, "lease", lease);
}

}  // namespace

std::vector<std::string_view> worker_verbs() {
  std::vector<std::string_view> names;
  for (const VerbRow& row : kVerbs) {
    if (!row.t.empty()) names.push_back(row.t);
  }
  return names;
}

WorkerParse parse_worker_frame(std::string_view text, FrameFields& fields) {
  const FieldsError error = read_fields(text, fields);
  if (error.message != nullptr) {
    return {false, WorkerVerb::kPing, fmt::format("{} at byte {}", error.message, error.offset)};
  }
  if (!fields.has(kFieldT)) return {false, WorkerVerb::kPing, "`t` is missing or not a string"};
  for (const VerbRow& row : kVerbs) {
    if (row.t == fields.t && !row.t.empty()) return check(row, row.required, fields);
  }
  return {false, WorkerVerb::kPing, fmt::format("unknown `t`: `{}`", fields.t.substr(0, 40))};
}

WorkerParse parse_worker_body(WorkerVerb verb, std::string_view text, FrameFields& fields) {
  const FieldsError error = read_fields(text.empty() ? "{}" : text, fields);
  if (error.message != nullptr) {
    return {false, verb, fmt::format("{} at byte {}", error.message, error.offset)};
  }
  const auto row = std::find_if(kVerbs.begin(), kVerbs.end(),
                                [&](const VerbRow& candidate) { return candidate.verb == verb; });
  fields.wrong &= ~std::uint32_t{kFieldLease};
  return check(*row, row->required & ~std::uint32_t{kFieldLease}, fields);
}

void append_task(std::string& out, const TaskFrameText& frame) {
  append_lease_frame(out, "task", frame.lease);
  append_text(out, "task", frame.task);
  out += ",\"args\":";
  out += frame.args_json;
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(",\"attempt\":{},\"lease_ms\":{}"),
                 frame.attempt, frame.lease_ms);
  if (frame.deadline_ms > 0) {
    fmt::format_to(std::back_inserter(out), FMT_COMPILE(",\"deadline_ms\":{}"), frame.deadline_ms);
  }
  append_text(out, "key", frame.key);
  append_text(out, "tenant", frame.tenant);
  if (!frame.client.empty()) append_text(out, "client", frame.client);
  append_text(out, "run", frame.run);
  append_text(out, "step", frame.step);
  append_text(out, "correlation", frame.correlation);
  if (!frame.traceparent.empty()) append_text(out, "traceparent", frame.traceparent);
  append_text(out, "priority", frame.priority);
  out += '}';
}

void append_worker_welcome(std::string& out, std::string_view worker, std::uint32_t lease_ms) {
  out += R"({"t":"welcome")";
  append_text(out, "worker", worker);
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(",\"lease_ms\":{}}}"), lease_ms);
}

void append_settled(std::string& out, std::string_view lease) {
  append_lease_frame(out, "settled", lease);
  out += '}';
}

void append_stale(std::string& out, std::string_view lease) {
  append_lease_frame(out, "stale", lease);
  out += '}';
}

void append_cancel(std::string& out, std::string_view lease, std::string_view why) {
  append_lease_frame(out, "cancel", lease);
  append_text(out, "why", why);
  out += '}';
}

}  // namespace sluice::gateway
