#include "tests/core/cluster.hpp"

#include <algorithm>

#include "vm/builder.hpp"

namespace sluice::core::test {
namespace {

using vm::FunctionBuilder;
using vm::FunctionKind;
using vm::Op;
using vm::Register;

enum Record_ : std::uint32_t { kAsk = 1, kAnswer, kFailedRecord };
enum Event_ : std::uint32_t { kAskEvent, kAnswerEvent, kFailedEvent };
enum Flow_ : std::uint32_t { kParentFlow, kChildFlow, kEchoFlow };
enum Site : std::uint32_t { kLook, kUndo, kFile, kChildSite, kChildLook };
enum Function_ : std::uint32_t { kParent, kUndoChild, kOnFailure, kChild, kEcho, kOrder };

FunctionBuilder parent() {
  FunctionBuilder f("parent", FunctionKind::flow, 1, "parent");
  const Register text = f.allocate();
  f.emit_indexed(Op::get_field, text, f.parameter(0), 0);
  const Register result = f.allocate(2);
  f.emit_indexed(Op::step, result, text, kLook);
  f.emit_publish(f.parameter(0), 1);
  f.emit_start_run({result.index + 1}, f.parameter(0), kChildFlow, false);
  f.emit_indexed(Op::step, result, f.parameter(0), kChildSite);
  f.emit_closure(Op::on_undo, kUndoChild, text, 1, kChildSite);
  f.emit_indexed(Op::step, {result.index + 1}, text, kFile);
  f.emit_finish(result, kAnswerEvent);
  return f;
}

FunctionBuilder undo() {
  FunctionBuilder f("parent/child/undo", FunctionKind::compensation, 1);
  const Register result = f.allocate();
  f.emit_indexed(Op::step, result, f.parameter(0), kUndo);
  f.emit(Op::ret_none);
  return f;
}

FunctionBuilder on_failure() {
  FunctionBuilder f("parent/failure", FunctionKind::handler, 2);
  const Register kind = f.allocate();
  f.emit_indexed(Op::get_field, kind, f.parameter(1), 0);
  f.emit_indexed(Op::make_record, kind, kind, kFailedRecord);
  f.emit_finish(kind, kFailedEvent);
  return f;
}

FunctionBuilder looking(const char* name) {
  FunctionBuilder f(name, FunctionKind::flow, 1, name);
  const Register text = f.allocate();
  f.emit_indexed(Op::get_field, text, f.parameter(0), 0);
  f.emit_indexed(Op::step, text, text, kChildLook);
  f.emit_indexed(Op::make_record, text, text, kAnswer);
  f.emit_finish(text, kAnswerEvent);
  return f;
}

FunctionBuilder order() {
  FunctionBuilder f("echoes/order", FunctionKind::pure, 1);
  const Register key = f.allocate();
  f.emit_indexed(Op::get_field, key, f.parameter(0), 0);
  f.emit(Op::ret, key);
  return f;
}

vm::StepSite site(const char* name, std::uint32_t task) {
  vm::StepSite made;
  made.name = name;
  made.task = task;
  made.idempotent = true;
  made.attempts = 2;
  made.backoff_min_ms = made.backoff_max_ms = 100;
  return made;
}

}  // namespace

std::shared_ptr<const vm::VerifiedProgram> family_program() {
  vm::Program program;
  program.features = {"core"};
  const auto text = [](const char* name) { return vm::FieldType{name, vm::kTypeString}; };
  program.types.records.push_back({"Ask", {text("text")}});
  program.types.records.push_back({"Answer", {text("text")}});
  program.types.records.push_back({"Failed", {text("reason")}});
  for (std::uint32_t record = kAsk; record <= kFailedRecord; ++record) {
    program.types.record_type(record);
    program.events.push_back({program.types.records[record].name, 1, record});
  }
  program.pools = {{"cpu", 0}};
  for (const char* name : {"look", "undo", "file"}) {
    program.tasks.push_back({name, {{"text", vm::kTypeString}}, vm::kTypeString, 0, {}});
  }
  program.steps = {site("look", 0), site("undo", 1), site("file", 2), {}, site("look", 0)};
  program.steps[kUndo].attempts = 9;
  vm::StepSite& child = program.steps[kChildSite];
  child.name = "child";
  child.flow = kChildFlow;
  child.within_ms = 5000;
  child.has_compensation = true;
  for (FunctionBuilder made :
       {parent(), undo(), on_failure(), looking("child"), looking("echo"), order()}) {
    program.functions.push_back(made.finish().value());
  }
  const vm::TypeId ask = program.types.record_type(kAsk);
  program.topics = {{"asks", kAskEvent, std::nullopt, 1000, 1000},
                    {"echoes", kAskEvent, kOrder, 1000, 1000}};
  program.flows = {
      {"parent", {{"ask", ask}}, kParent, kOnFailure, {kAnswerEvent, kFailedEvent}, 0, 60'000},
      {"child", {{"ask", ask}}, kChild, std::nullopt, {kAnswerEvent}, std::nullopt, 30'000},
      {"echo", {{"ask", ask}}, kEcho, std::nullopt, {kAnswerEvent}, 1, 30'000}};
  auto verified = vm::verify(std::move(program));
  if (!verified) std::fprintf(stderr, "%s\n", verified.error().message.c_str());
  SLUICE_CHECK(verified.has_value());
  return *verified;
}

Cluster::Member::Member(const Partition::Config& c, Cluster& cluster)
    : config(c), partition(c, cluster.programs) {}

Cluster::Cluster(unsigned partitions, std::uint64_t outbox_messages,
                 std::shared_ptr<const vm::VerifiedProgram> program) {
  programs.add(1, program != nullptr ? std::move(program) : family_program());
  for (unsigned i = 0; i < partitions; ++i) {
    Partition::Config config;
    config.id = PartitionId{static_cast<std::uint16_t>(i)};
    config.partitions = partitions;
    config.outbox_messages = outbox_messages;
    members.push_back(std::make_unique<Member>(config, *this));
  }
}

Effects Cluster::take(Member& member, Record record) {
  record.seq = member.partition.next_seq();
  record.time = std::max(now, member.partition.last_time());
  record.core = member.partition.core();
  Effects made;
  auto applied = member.partition.apply(record, {}, made);
  if (!applied) std::fprintf(stderr, "%s\n", applied.error().message.c_str());
  SLUICE_CHECK(applied.has_value());
  record.verdict = applied->verdict;
  SLUICE_CHECK(is_sound(applied->verdict));
  member.journal.push_back(
      {record, *applied, member.partition.state_hash(), member.partition.take_digest()});
  for (const StuckRun& stuck : member.partition.stuck_runs()) {
    std::fprintf(stderr, "run %s: %s\n", to_text(stuck.run).c_str(), stuck.why.c_str());
    SLUICE_CHECK(false);
  }
  for (const Effect& effect : made) {
    if (const auto* send = std::get_if<Send>(&effect)) {
      const auto envelope = decode<Envelope>(send->body);
      if (envelope->kind == MessageKind::start) {
        const auto start = decode<StartMessage>(envelope->body);
        if (start->step != 0) steps.insert(start->run);
      }
      const Message message{member.config.id, send->n, send->body};
      network.push_back({send->destination, make_record(send->tenant, message)});
    } else if (const auto* ack = std::get_if<Acknowledge>(&effect)) {
      network.push_back({ack->source, make_record({}, MessageAck{member.config.id, ack->n})});
    } else if (const auto* offer = std::get_if<Offer>(&effect)) {
      member.offers.push_back(*offer);
    } else if (const auto* delivery = std::get_if<Delivery>(&effect)) {
      deliveries.push_back(*delivery);
    } else if (const auto* lost = std::get_if<DeadLettered>(&effect)) {
      dead.push_back(*lost);
    }
  }
  return made;
}

void Cluster::ask(const std::string& client, const std::string& text) {
  const std::string data = core::test::ask(text);
  const std::string id = "ask-" + std::to_string(++asks);
  Event event;
  event.deployment = 1;
  event.client = client;
  event.order_key = client;
  event.id = id;
  event.data = data;
  Member& member = at(partition_of_client(kTenant, client, static_cast<unsigned>(members.size())));
  if (member.partition.admit(kTenant, event, now, {})) return;  // its outbox is full
  const auto accepted = only<Accepted>(take(member, make_record(kTenant, event)));
  asked.push_back(accepted.runs.at(0));
}

void Cluster::deliver(std::size_t index, bool keep) {
  Flying flying = network[index];
  if (!keep) network.erase(network.begin() + static_cast<std::ptrdiff_t>(index));
  Member& member = at(flying.to);
  if (flying.record.kind == Kind::message_ack) {
    if (member.partition.admit(*decode<MessageAck>(flying.record.body))) {
      take(member, std::move(flying.record));
    }
    return;
  }
  using Admission = Partition::MessageAdmission;
  const auto message = *decode<Message>(flying.record.body);
  const Admission admission = member.partition.admit(message);
  if (admission == Admission::fresh) take(member, flying.record);
  if (admission != Admission::repeated) return;
  const MessageAck ack{flying.to, member.partition.taken_from(message.source)};
  network.push_back({message.source, make_record({}, ack)});
}

namespace {

template <class Body>
Body about(const Offer& offer) {
  Body body;
  body.run = offer.key.run;
  body.step = offer.key.step;
  body.attempt = offer.key.attempt;
  body.opened = offer.opened;
  body.args_digest = offer.args_digest;
  return body;
}

}  // namespace

void Cluster::done(Member& member, const Offer& offer) {
  auto body = about<Done>(offer);
  const std::string result = text_value(offer.task + "ed");
  body.result = result;
  if (!member.partition.admit(kTenant, body, {})) take(member, make_record(kTenant, body));
}

void Cluster::failed(Member& member, const Offer& offer, const std::string& kind) {
  auto body = about<Failed>(offer);
  body.kind = kind;
  body.message = "no";
  body.retry = true;
  if (!member.partition.admit(kTenant, body, {})) take(member, make_record(kTenant, body));
}

void Cluster::cancel(const RunId& run) {
  Cancel body;
  body.run = run;
  Member& member = at(partition_of(run));
  if (!member.partition.admit(kTenant, body, {})) take(member, make_record(kTenant, body));
}

void Cluster::advance(TimeUs by) {
  const TimeUs until = now + by;
  for (bool any = true; any;) {
    any = false;
    for (const auto& member : members) {
      const auto due = member->partition.next_due();
      if (!due || *due > until) continue;
      now = std::max(now, *due);
      take(*member, member->partition.make_advance(std::max(now, member->partition.last_time())));
      any = true;
    }
  }
  now = until;
}

void Cluster::crash(Member& member) {
  Partition folded(member.config, programs);
  for (const auto& entry : member.journal) {
    Effects made;
    SLUICE_CHECK(folded.apply(entry.record, {}, made).has_value());
    folded.take_digest();
  }
  SLUICE_CHECK(folded.state_hash() == member.partition.state_hash());
  member.partition = std::move(folded);
  Effects owed;
  member.partition.reissue(owed);
  for (const Effect& effect : owed) {
    const auto* send = std::get_if<Send>(&effect);
    if (send == nullptr) continue;
    const Message message{member.config.id, send->n, send->body};
    network.push_back({send->destination, make_record(send->tenant, message)});
  }
}

void Cluster::step(std::uint32_t choice) {
  const std::uint32_t what = choice % 16, rest = choice / 16;
  Member& member = *members[rest % members.size()];
  const auto offer = [&]() -> const Offer* {
    return member.offers.empty() ? nullptr : &member.offers[rest / 7 % member.offers.size()];
  };
  if (what < 2) {
    ask("c" + std::to_string(rest % 5), "t" + std::to_string(rest % 3));
  } else if (what < 8) {
    if (network.empty()) return;
    const std::size_t index = rest % network.size();
    if (what == 7) {
      network.erase(network.begin() + static_cast<std::ptrdiff_t>(index));  // it is lost
    } else {
      deliver(index, what == 6);
    }
  } else if (what < 12) {
    if (const Offer* found = offer()) done(member, Offer(*found));
  } else if (what == 12) {
    // Undoing has to work in the end, or there is a dead letter.
    const Offer* found = offer();
    const bool undo = found != nullptr && found->task == "undo";
    if (undo && found->key.attempt > 4) {
      done(member, Offer(*found));
    } else if (found != nullptr) {
      failed(member, Offer(*found), undo || rest % 2 == 0 ? "Unavailable" : "Rejected");
    }
  } else if (what == 13) {
    advance(static_cast<TimeUs>(rest % 700) * kMs);
  } else if (what == 14) {
    crash(member);
  } else if (rest % 4 == 0 && !asked.empty()) {
    cancel(asked[rest / 4 % asked.size()]);
  }
}

void Cluster::drain() {
  for (int round = 0; round < 1000; ++round) {
    bool idle = true;
    for (const auto& member : members) {
      const PartitionStats stats = member->partition.stats();
      idle = idle && stats.runs == 0 && stats.outbox == 0;
      crash(*member);  // what it owes is sent again
    }
    if (idle) return;
    while (!network.empty()) deliver(0, false);
    for (const auto& member : members) {
      const std::vector<Offer> offers = std::move(member->offers);
      member->offers.clear();
      for (const Offer& offer : offers) done(*member, offer);
    }
    advance(50 * kMs);
  }
  SLUICE_CHECK(false);  // it does not come to rest
}

void Cluster::check_folds() {
  for (const auto& member : members) {
    Partition folded(member->config, programs);
    for (const auto& entry : member->journal) {
      Effects made;
      const auto applied = folded.apply(entry.record, {}, made);
      SLUICE_CHECK(applied.has_value() && applied->verdict == entry.record.verdict);
      SLUICE_CHECK(folded.state_hash() == entry.state && folded.take_digest() == entry.digest);
    }
  }
}

}  // namespace sluice::core::test
