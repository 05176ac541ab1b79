#include "gateway/codec/client_frames.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <array>
#include <iterator>

#include "gateway/limits.hpp"

namespace sluice::gateway {
namespace {

struct VerbRow {
  std::string_view t;
  ClientVerb verb;
  std::uint32_t required;
  std::uint32_t optional;
};

constexpr std::array kVerbs = {
    VerbRow{"send", ClientVerb::kSend, kFieldId | kFieldTopic | kFieldData,
            kFieldTtl | kFieldCorrelation | kFieldTraceparent | kFieldVersion},
    VerbRow{"ack", ClientVerb::kAck, kFieldOffset, 0},
    VerbRow{"ping", ClientVerb::kPing, 0, 0},
    VerbRow{"hello", ClientVerb::kHello, 0,
            kFieldToken | kFieldSession | kFieldResume | kFieldTokenMs},
    VerbRow{"signal", ClientVerb::kSignal, kFieldId | kFieldRun | kFieldEvent | kFieldData,
            kFieldVersion},
    VerbRow{"cancel", ClientVerb::kCancel, kFieldId | kFieldRun, 0},
    VerbRow{"subscribe", ClientVerb::kSubscribe, kFieldGroup, kFieldId | kFieldOffset},
    VerbRow{"unsubscribe", ClientVerb::kUnsubscribe, kFieldGroup, kFieldId},
    VerbRow{"watch", ClientVerb::kWatch, kFieldRun, kFieldId},
    VerbRow{"unwatch", ClientVerb::kUnwatch, kFieldRun, kFieldId},
    VerbRow{"refresh", ClientVerb::kRefresh, kFieldToken, 0},
};

bool is_good_id(const FrameFields& fields) {
  return fields.has(kFieldId) && !fields.id.empty() && fields.id.size() <= limits::kIdBytes;
}

// With a readable id the sender learns which of its frames it was; without, the socket closes.
ClientParse refuse(const FrameFields& fields, bool has_verb_with_id, std::string message) {
  const bool answer = has_verb_with_id && is_good_id(fields);
  return {answer ? ClientParse::Kind::kInvalid : ClientParse::Kind::kBad, ClientVerb::kPing,
          std::move(message)};
}

std::string check_sizes(const FrameFields& fields, std::uint32_t known) {
  const auto given = [&](std::uint32_t field) { return (known & field) != 0 && fields.has(field); };
  if (given(kFieldId) && !is_good_id(fields)) {
    return fmt::format("`id` has 1 to {} bytes", limits::kIdBytes);
  }
  if (given(kFieldTopic) && fields.topic.size() > limits::kNameBytes) return "`topic` is too long";
  if (given(kFieldGroup) && (fields.group.empty() || fields.group.size() > limits::kNameBytes)) {
    return "`group` is too long, or empty";
  }
  if (given(kFieldEvent) && fields.event.size() > limits::kNameBytes) return "`event` is too long";
  if (given(kFieldCorrelation) &&
      !is_visible_ascii(fields.correlation, limits::kCorrelationBytes)) {
    return fmt::format("`correlation` has 1 to {} visible ASCII characters",
                       limits::kCorrelationBytes);
  }
  if (given(kFieldTraceparent) &&
      !is_visible_ascii(fields.traceparent, limits::kCorrelationBytes)) {
    return "`traceparent` is not one";
  }
  if (given(kFieldToken) && fields.token.size() > limits::kTokenBytes) return "`token` is too long";
  if (given(kFieldSession) && !is_visible_ascii(fields.session, limits::kNameBytes)) {
    return "`session` is not one of ours";
  }
  if (given(kFieldTokenMs) &&
      fields.token_ms > static_cast<std::uint64_t>(limits::kStreamPaceMax.count())) {
    return fmt::format("`token_ms` is from 0 to {}", limits::kStreamPaceMax.count());
  }
  if (given(kFieldResume) && fields.resume_epoch.size() > limits::kNameBytes) {
    return "`resume.epoch` is not one of ours";
  }
  return {};
}

void append_text(std::string& out, std::string_view name, std::string_view text) {
  out += ",\"";
  out += name;
  out += "\":";
  vm::append_json_string(text, out);
}

void append_count(std::string& out, std::string_view name, std::uint64_t value) {
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(",\"{}\":{}"), name, value);
}

}  // namespace

std::vector<std::string_view> client_verbs() {
  std::vector<std::string_view> names;
  for (const VerbRow& row : kVerbs) names.push_back(row.t);
  return names;
}

ClientParse parse_client_frame(std::string_view text, FrameFields& fields) {
  const FieldsError error = read_fields(text, fields);
  const VerbRow* row = nullptr;
  if (fields.has(kFieldT)) {
    for (const VerbRow& candidate : kVerbs) {
      if (candidate.t == fields.t) row = &candidate;
    }
    if (row == nullptr) {
      return {ClientParse::Kind::kBad, ClientVerb::kPing,
              fmt::format("unknown `t`: `{}`", fields.t.substr(0, 40))};
    }
  }
  const bool may_answer = row == nullptr || ((row->required | row->optional) & kFieldId) != 0;
  if (error.message != nullptr) {
    return refuse(fields, may_answer, fmt::format("{} at byte {}", error.message, error.offset));
  }
  if (row == nullptr) return refuse(fields, false, "`t` is missing or not a string");
  const std::uint32_t known = row->required | row->optional;
  if (const std::uint32_t wrong = fields.wrong & known; wrong != 0) {
    return refuse(fields, may_answer, fmt::format("`{}` is of the wrong type", field_name(wrong)));
  }
  if (const std::uint32_t missing = row->required & ~fields.present; missing != 0) {
    return refuse(fields, may_answer, fmt::format("`{}` is missing", field_name(missing)));
  }
  if (std::string message = check_sizes(fields, known); !message.empty()) {
    return refuse(fields, may_answer, std::move(message));
  }
  return {ClientParse::Kind::kFrame, row->verb, {}};
}

void append_welcome(std::string& out, const WelcomeFrame& frame) {
  out += R"({"t":"welcome")";
  append_text(out, "session", frame.session);
  append_text(out, "client", frame.client);
  append_text(out, "epoch", frame.epoch);
  append_count(out, "offset", frame.offset);
  out += frame.recovered ? R"(,"recovered":true,"limits":{"pending":)"
                         : R"(,"recovered":false,"limits":{"pending":)";
  fmt::format_to(std::back_inserter(out), FMT_COMPILE("{},\"frame_bytes\":{}}}}}"), frame.pending,
                 frame.frame_bytes);
}

void append_accepted(std::string& out, const AcceptedFrame& frame) {
  out += R"({"t":"accepted")";
  append_text(out, "id", frame.id);
  append_text(out, "event", frame.event);
  append_count(out, "seq", frame.seq);
  out += ",\"runs\":[";
  for (std::size_t i = 0; i < frame.runs.size(); ++i) {
    if (i > 0) out += ',';
    vm::append_json_string(frame.runs[i], out);
  }
  out += ']';
  append_text(out, "correlation", frame.correlation);
  out += frame.duplicate ? R"(,"duplicate":true})" : R"(,"duplicate":false})";
}

void append_subscription(std::string& out, const SubscriptionFrame& frame) {
  out += R"({"t":"accepted")";
  append_text(out, "id", frame.id);
  append_text(out, "group", frame.group);
  if (frame.offset) append_count(out, "offset", *frame.offset);
  if (frame.offset) out += frame.recovered ? R"(,"recovered":true)" : R"(,"recovered":false)";
  out += '}';
}

void append_unsubscribed(std::string& out, const UnsubscribedFrame& frame) {
  out += R"({"t":"unsubscribed")";
  append_text(out, "group", frame.group);
  append_text(out, "code", frame.code);
  append_text(out, "message", frame.message);
  out += '}';
}

void append_errors(std::string& out, const std::vector<vm::JsonProblem>& errors) {
  out += R"(,"errors":[)";
  for (std::size_t i = 0; i < errors.size(); ++i) {
    out += i > 0 ? R"(,{"path":)" : R"({"path":)";
    vm::append_json_string(errors[i].path, out);
    append_text(out, "message", errors[i].message);
    out += '}';
  }
  out += ']';
}

void append_rejected(std::string& out, const RejectedFrame& frame) {
  out += R"({"t":"rejected")";
  append_text(out, "id", frame.id);
  append_text(out, "code", frame.code);
  append_text(out, "message", frame.message);
  if (frame.retry_after_ms > 0) append_count(out, "retry_after_ms", frame.retry_after_ms);
  if (frame.errors != nullptr && !frame.errors->empty()) append_errors(out, *frame.errors);
  out += '}';
}

namespace {

void append_delivery_fields(std::string& out, const DeliveryFrame& frame) {
  append_text(out, "name", frame.name);
  out += ",\"data\":";
  out += frame.data_json;
  append_text(out, "run", frame.run);
  append_text(out, "correlation", frame.correlation);
  append_text(out, "causation", frame.causation);
  out += frame.outcome ? R"(,"outcome":true})" : "}";
}

}  // namespace

void append_delivery(std::string& out, const DeliveryFrame& frame) {
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"({{"t":"delivery","offset":{})"),
                 frame.offset);
  if (!frame.group.empty()) append_text(out, "group", frame.group);
  append_delivery_fields(out, frame);
}

void append_delivery_item(std::string& out, const DeliveryFrame& frame) {
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"({{"offset":{})"), frame.offset);
  append_delivery_fields(out, frame);
}

void append_token(std::string& out, const TokenFrame& frame) {
  out += R"({"t":"token")";
  append_text(out, "run", frame.run);
  append_text(out, "step", frame.step);
  append_count(out, "attempt", frame.attempt);
  append_count(out, "n", frame.n);
  append_text(out, "data", frame.data);
  out += '}';
}

void append_stream(std::string& out, const StreamFrame& frame) {
  out += R"({"t":"stream")";
  append_text(out, "run", frame.run);
  append_text(out, "step", frame.step);
  append_count(out, "attempt", frame.attempt);
  append_text(out, "status", frame.status);
  if (frame.text != nullptr) append_text(out, "text", *frame.text);
  out += '}';
}

void append_run(std::string& out, const RunFrame& frame) {
  out += R"({"t":"run")";
  append_text(out, "run", frame.run);
  append_text(out, "state", frame.state);
  if (!frame.step.empty()) append_text(out, "step", frame.step);
  if (frame.attempt > 0) append_count(out, "attempt", frame.attempt);
  if (!frame.why.empty()) append_text(out, "why", frame.why);
  if (!frame.joined.empty()) append_text(out, "joined", frame.joined);
  out += '}';
}

void append_slow(std::string& out, std::size_t pending, std::uint32_t retry_after_ms) {
  out += R"({"t":"slow")";
  append_count(out, "pending", pending);
  append_count(out, "retry_after_ms", retry_after_ms);
  out += '}';
}

void append_error(std::string& out, std::string_view code, std::string_view message) {
  out += R"({"t":"error")";
  append_text(out, "code", code);
  append_text(out, "message", message);
  out += '}';
}

}  // namespace sluice::gateway
