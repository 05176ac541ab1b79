#include "engine/sim/workload_program.hpp"

#include <fmt/format.h>

#include <array>
#include <stdexcept>

namespace sluice::sim {

// Made of workload.flow.
extern const unsigned char kWorkloadArtifact[];
extern const std::size_t kWorkloadArtifactSize;

namespace {

constexpr std::array<std::string_view, kTopicCount> kTopicNames = {
    "asks",     "notes", "turns", "echoes", "talks", "nudges", "watches", "facts",  "errands",
    "speeches", "pairs", "solos", "chats",  "rooms", "visits", "minds",   "glances"};

void check_topics(const vm::Program& program) {
  for (std::uint32_t i = 0; i < kTopicCount; ++i) {
    const std::int64_t window =
        i == kTopicNotes || i == kTopicEchoes ? kNotesDedupeMs : kAsksDedupeMs;
    if (i < program.topics.size() && program.topics[i].name == kTopicNames[i] &&
        program.topics[i].dedupe_ms == static_cast<std::uint64_t>(window)) {
      continue;
    }
    throw std::logic_error(fmt::format("workload.flow: topic {} is not `{}`", i, kTopicNames[i]));
  }
}

}  // namespace

std::shared_ptr<const vm::VerifiedProgram> workload_program() {
  const std::string_view bytes(reinterpret_cast<const char*>(kWorkloadArtifact),
                               kWorkloadArtifactSize);
  auto loaded = vm::load_artifact(bytes);
  if (!loaded) throw std::logic_error("the workload's program: " + loaded.error().message);
  check_topics((*loaded)->program());
  return *loaded;
}

unsigned runs_at_once(std::uint32_t topic) {
  switch (topic) {
    case kTopicNotes:
    case kTopicTurns:
    case kTopicSolos:
    case kTopicChats:
      return 1;
    case kTopicPairs:
    case kTopicRooms:
      return 2;
    default:
      return 0;
  }
}

bool is_joined(std::uint32_t topic) {
  return topic == kTopicChats || topic == kTopicRooms;
}

bool counts_by_key(std::uint32_t topic) {
  return topic == kTopicNotes || topic == kTopicPairs || is_joined(topic);
}

unsigned attempts_at_once(std::string_view task) {
  return task == "left" || task == "tell" ? 2 : 1;
}

std::optional<std::size_t> key_field(std::uint32_t topic) {
  const bool keyed = topic == kTopicNotes || topic == kTopicEchoes || topic == kTopicFacts ||
                     topic == kTopicPairs || topic == kTopicSolos || topic == kTopicChats;
  return keyed ? std::optional<std::size_t>(1) : std::nullopt;
}

std::string event_value(const vm::Program& program, std::string_view event,
                        const std::vector<vm::Value>& fields) {
  const auto index = vm::find_by_name(program.events, event);
  if (!index) throw std::logic_error(fmt::format("workload.flow has no event `{}`", event));
  return vm::encode_value(vm::Value::record(program.events[*index].record, fields));
}

std::string note_value(const vm::Program& program, std::string_view text, std::string_view key) {
  return event_value(program, "Note", {vm::Value::string(text), vm::Value::string(key)});
}

std::string task_result(std::string_view task, std::string_view text) {
  return fmt::format("{}({})", task, text);
}

std::string answer_json(std::uint32_t topic, std::string_view text) {
  const auto all = [&](std::initializer_list<std::string_view> tasks) {
    std::string results;
    for (const std::string_view task : tasks) results += task_result(task, text);
    return fmt::format("{{\"text\":\"{}\"}}", results);
  };
  switch (topic) {
    case kTopicAsks:
      return all({"lookup", "charge", "left", "right"});
    case kTopicNotes:
      return all({"lookup", "file", "lookup"});  // the last is the review's
    case kTopicTurns:
      return all({"charge", "lookup"});
    case kTopicSpeeches:
      return all({"tell"});
    case kTopicPairs:
      return all({"lookup", "right"});
    case kTopicSolos:
      return all({"lookup"});
    default:
      return fmt::format("{{\"text\":\"{}\"}}", text);
  }
}

}  // namespace sluice::sim
