#include "tests/core/driver.hpp"

#include <algorithm>

namespace sluice::core::test {

Driver::Driver(const Pipeline& pipeline, Partition::Config c)
    : config(c), partition((programs.add(1, pipeline), c), programs) {}

Effects Driver::take(Record record) {
  record.seq = partition.next_seq();
  record.time = std::max(now, partition.last_time());
  record.core = partition.core();
  Effects made;
  auto applied = partition.apply(record, {}, made);
  if (!applied) std::fprintf(stderr, "%s\n", applied.error().message.c_str());
  SLUICE_CHECK(applied.has_value());
  record.verdict = applied->verdict;
  effects.insert(effects.end(), made.begin(), made.end());
  journal.push_back({record, *applied, partition.state_hash(), partition.take_digest()});
  return made;
}

Effects Driver::publish(const std::string& client, const std::string& id, const std::string& text) {
  const std::string data = ask(text);
  Event event;
  event.deployment = 1;
  event.client = client;
  event.order_key = client;
  event.id = id;
  event.data = data;
  if (auto answer = partition.admit(kTenant, event, now, {})) return {*answer};
  return take(make_record(kTenant, event));
}

namespace {

template <class Body>
Body about(const Offer& offer) {
  Body body;
  body.run = offer.key.run;
  body.step = offer.key.step;
  body.attempt = offer.key.attempt;
  body.opened = offer.opened;
  return body;
}

}  // namespace

Effects Driver::done(const Offer& offer, const std::string& result) {
  auto body = about<Done>(offer);
  const std::string bytes = text_value(result);
  body.args_digest = offer.args_digest;
  body.result = bytes;
  if (auto answer = partition.admit(kTenant, body, {})) return {*answer};
  return take(make_record(kTenant, body));
}

Effects Driver::failed(const Offer& offer, const std::string& kind, bool retry,
                       std::uint32_t retry_after_ms, const std::string& message) {
  auto body = about<Failed>(offer);
  body.args_digest = offer.args_digest;
  body.kind = kind;
  body.message = message;
  body.retry = retry;
  body.retry_after_ms = retry_after_ms;
  if (auto answer = partition.admit(kTenant, body, {})) return {*answer};
  return take(make_record(kTenant, body));
}

Effects Driver::lapse(const Offer& offer, LapseReason reason) {
  auto body = about<Lapsed>(offer);
  body.reason = reason;
  if (!partition.admit(body)) return {};
  return take(make_record(kTenant, body));
}

Effects Driver::grant(const Offer& offer) {
  const auto body = about<Granted>(offer);
  if (!partition.admit(body)) return {};
  return take(make_record(kTenant, body));
}

Effects Driver::speak(const Offer& offer) {
  const Spoke spoke{offer.key.run, offer.key.step, offer.key.attempt, offer.opened};
  if (!partition.admit(spoke)) return {};
  return take(make_record(kTenant, spoke));
}

Effects Driver::cancel(const RunId& run) {
  Cancel body;
  body.run = run;
  if (auto answer = partition.admit(kTenant, body, {})) return {*answer};
  return take(make_record(kTenant, body));
}

Effects Driver::advance(TimeUs by) {
  const TimeUs until = now + by;
  Effects made;
  while (partition.next_due() && *partition.next_due() <= until) {
    now = std::max(now, *partition.next_due());
    Effects some = take(partition.make_advance(now));
    made.insert(made.end(), some.begin(), some.end());
  }
  now = until;
  return made;
}

Partition Driver::fold() {
  Partition folded(config, programs);
  for (const Journaled& entry : journal) {
    Effects made;
    const auto applied = folded.apply(entry.record, {}, made);
    SLUICE_CHECK(applied.has_value());
    SLUICE_CHECK(applied->verdict == entry.record.verdict);
    SLUICE_CHECK(folded.state_hash() == entry.state);
    SLUICE_CHECK(folded.take_digest() == entry.digest);
  }
  return folded;
}

}  // namespace sluice::core::test
