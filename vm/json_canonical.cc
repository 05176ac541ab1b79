#include <algorithm>

#include "vm/json.hpp"
#include "vm/text.hpp"

namespace sluice::vm {
namespace {

struct Member {
  std::string key;   // a copy: the reader's goes with the object
  size_t begin = 0;  // of its text, key included
  size_t end = 0;
};

// Puts the members of an object, written one after the other, into the order of their keys.
void sort_members(std::vector<Member>& members, size_t begin, std::string& out) {
  const auto less = [](const Member& a, const Member& b) { return a.key < b.key; };
  if (std::is_sorted(members.begin(), members.end(), less)) return;
  std::sort(members.begin(), members.end(), less);
  std::string sorted;
  sorted.reserve(out.size() - begin);
  for (const Member& member : members) {
    if (!sorted.empty()) sorted += ',';
    sorted.append(out, member.begin, member.end - member.begin);
  }
  out.replace(begin, std::string::npos, sorted);
}

bool read_number(JsonReader& reader, std::string& out) {
  std::string_view text;
  bool integral = false;
  const size_t start = reader.offset();
  if (!reader.read_number(&text, &integral)) return false;
  out += text;
  if (parse_float(text)) return true;
  reader.rewind(start);
  double number = 0;
  return reader.read_double(&number);  // fails, and says why
}

bool read_array(JsonReader& reader, std::string& out) {
  if (!reader.begin_array()) return false;
  out += '[';
  for (bool first = true; reader.next_element(); first = false) {
    if (!first) out += ',';
    if (!read_canonical_json(reader, out)) return false;
  }
  out += ']';
  return reader.ok();
}

bool read_object(JsonReader& reader, std::string& out) {
  if (!reader.begin_object()) return false;
  out += '{';
  const size_t begin = out.size();
  std::vector<Member> members;
  std::string_view key;
  while (reader.next_key(&key)) {
    if (!members.empty()) out += ',';
    Member& member = members.emplace_back(Member{std::string(key), out.size(), 0});
    append_json_string(key, out);
    out += ':';
    if (!read_canonical_json(reader, out)) return false;
    member.end = out.size();
  }
  if (!reader.ok()) return false;
  sort_members(members, begin, out);
  out += '}';
  return true;
}

}  // namespace

bool read_canonical_json(JsonReader& reader, std::string& out) {
  switch (reader.kind()) {
    case JsonKind::null:
      out += "null";
      return reader.read_null();
    case JsonKind::boolean: {
      bool flag = false;
      if (!reader.read_bool(&flag)) return false;
      out += flag ? "true" : "false";
      return true;
    }
    case JsonKind::number:
      return read_number(reader, out);
    case JsonKind::string: {
      std::string_view text;
      if (!reader.read_string(&text)) return false;
      append_json_string(text, out);
      return true;
    }
    case JsonKind::array:
      return read_array(reader, out);
    case JsonKind::object:
      return read_object(reader, out);
    case JsonKind::invalid:
      break;
  }
  return reader.skip();  // fails, and says why
}

tl::expected<std::string, JsonProblem> canonical_json(std::string_view text) {
  JsonReader reader(text);
  std::string out;
  if (read_canonical_json(reader, out) && reader.finish()) return out;
  std::string message = reader.error();
  message += " at byte " + std::to_string(reader.error_offset());
  return tl::unexpected(JsonProblem{"", std::move(message), reader.malformed()});
}

}  // namespace sluice::vm
