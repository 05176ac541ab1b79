#include "gateway/config/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "gateway/config/duration.hpp"
#include "vm/json_reader.hpp"

namespace sluice::gateway {
namespace {

constexpr std::array kKeys = {
#define SLUICE_KEY(name, kind, fallback, least, most, secret, text) \
  KeyRow{name, KeyKind::kind, fallback, least, most, secret, text},
#include "gateway/config/schema.def"
#undef SLUICE_KEY
};

const KeyRow* row_of(std::string_view name) {
  for (const KeyRow& row : kKeys) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

std::string range_of(const KeyRow& row) {
  if (row.kind != KeyKind::kDuration) return fmt::format("{} to {}", row.least, row.most);
  return fmt::format("{} to {}", format_duration(std::chrono::milliseconds(row.least)),
                     format_duration(std::chrono::milliseconds(row.most)));
}

std::string json_text(std::string_view text) {
  std::string out;
  vm::append_json_string(text, out);
  return out;
}

std::string_view type_name(KeyKind kind) {
  switch (kind) {
    case KeyKind::kText:
      return "text";
    case KeyKind::kFlag:
      return "true or false";
    case KeyKind::kCount:
      return "number";
    case KeyKind::kDuration:
      return "duration";
    case KeyKind::kList:
      return "list of texts";
  }
  return "";
}

}  // namespace

std::span<const KeyRow> key_rows() {
  return kKeys;
}

std::string environment_name(std::string_view key) {
  std::string name = "SLUICE_";
  for (const char c : key) {
    name.push_back(c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return name;
}

Config::Config() {
  for (const KeyRow& row : kKeys) {
    values_.emplace(row.name, Value{});
    (void)set(row.name, row.fallback, "default");
  }
}

const Config::Value& Config::at(std::string_view key) const {
  return values_.find(key)->second;
}
const std::string& Config::text(std::string_view key) const {
  return at(key).text;
}
bool Config::flag(std::string_view key) const {
  return at(key).flag;
}
std::int64_t Config::count(std::string_view key) const {
  return at(key).count;
}
const std::vector<std::string>& Config::list(std::string_view key) const {
  return at(key).list;
}
const std::string& Config::origin(std::string_view key) const {
  return at(key).origin;
}

tl::expected<void, std::string> Config::set(std::string_view key, std::string_view text,
                                            std::string origin) {
  const KeyRow& row = *row_of(key);
  switch (row.kind) {
    case KeyKind::kList:
      return set_list(key, split_commas(text), std::move(origin));
    case KeyKind::kFlag:
      if (text != "true" && text != "false") return tl::unexpected(std::string("is true or false"));
      return set_flag(key, text == "true", std::move(origin));
    case KeyKind::kCount: {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size()) {
        return tl::unexpected(fmt::format("is a number from {}, not `{}`", range_of(row), text));
      }
      return set_count(key, number, std::move(origin));
    }
    case KeyKind::kDuration: {
      const auto duration = parse_duration(text);
      if (!duration || duration->count() < row.least || duration->count() > row.most) {
        return tl::unexpected(
            fmt::format("is a duration from {}, such as 30s, not `{}`", range_of(row), text));
      }
      Value& value = values_.find(key)->second;
      value.text = text;
      value.count = duration->count();
      value.origin = std::move(origin);
      return {};
    }
    case KeyKind::kText:
      break;
  }
  if (key == "log.level" && text != "debug" && text != "info" && text != "warn" &&
      text != "error") {
    return tl::unexpected(fmt::format("is debug, info, warn or error, not `{}`", text));
  }
  Value& value = values_.find(key)->second;
  value.text = text;
  value.origin = std::move(origin);
  return {};
}

tl::expected<void, std::string> Config::set_list(std::string_view key,
                                                 std::vector<std::string> values,
                                                 std::string origin) {
  if (row_of(key)->kind != KeyKind::kList)
    return tl::unexpected(fmt::format("is a {}", type_name(row_of(key)->kind)));
  Value& value = values_.find(key)->second;
  value.list = std::move(values);
  value.origin = std::move(origin);
  return {};
}

tl::expected<void, std::string> Config::set_count(std::string_view key, std::int64_t number,
                                                  std::string origin) {
  const KeyRow& row = *row_of(key);
  if (row.kind != KeyKind::kCount)
    return tl::unexpected(fmt::format("is a {}, not a number", type_name(row.kind)));
  if (number < row.least || number > row.most) {
    return tl::unexpected(fmt::format("is a number from {}, not {}", range_of(row), number));
  }
  Value& value = values_.find(key)->second;
  value.count = number;
  value.text = std::to_string(number);
  value.origin = std::move(origin);
  return {};
}

tl::expected<void, std::string> Config::set_flag(std::string_view key, bool flag,
                                                 std::string origin) {
  if (row_of(key)->kind != KeyKind::kFlag)
    return tl::unexpected(fmt::format("is a {}", type_name(row_of(key)->kind)));
  Value& value = values_.find(key)->second;
  value.flag = flag;
  value.text = flag ? "true" : "false";
  value.origin = std::move(origin);
  return {};
}

namespace {

std::string schema_of(const KeyRow& row) {
  std::string out = R"({"description":)" + json_text(row.text);
  switch (row.kind) {
    case KeyKind::kText:
      out += R"(,"type":"string","default":)" + json_text(row.fallback);
      break;
    case KeyKind::kFlag:
      out += fmt::format(R"(,"type":"boolean","default":{})", row.fallback);
      break;
    case KeyKind::kCount:
      out += fmt::format(R"(,"type":"integer","default":{},"minimum":{},"maximum":{})",
                         row.fallback, row.least, row.most);
      break;
    case KeyKind::kDuration:
      out += fmt::format(R"(,"type":"string","pattern":"^[0-9]+(ms|s|m|h|d)$","default":"{}")",
                         row.fallback);
      break;
    case KeyKind::kList:
      out += R"(,"type":"array","items":{"type":"string"},"default":[])";
      break;
  }
  return out + fmt::format(R"(,"x-environment":"{}"}})", environment_name(row.name));
}

}  // namespace

std::string config_schema() {
  // Keys of one section stand together in the table.
  std::map<std::string, std::string> sections;
  std::string top;
  for (const KeyRow& row : kKeys) {
    const std::size_t dot = row.name.find('.');
    std::string& into =
        dot == std::string_view::npos ? top : sections[std::string(row.name.substr(0, dot))];
    const std::string_view name =
        dot == std::string_view::npos ? row.name : row.name.substr(dot + 1);
    into += fmt::format("{}\"{}\":{}", into.empty() ? "" : ",", name, schema_of(row));
  }
  for (const auto& [section, keys] : sections) {
    top +=
        fmt::format(R"(,"{}":{{"type":"object","additionalProperties":false,"properties":{{{}}}}})",
                    section, keys);
  }
  return R"({"$schema":"https://json-schema.org/draft/2020-12/schema","title":"flowd","type":"object",)"
         R"("additionalProperties":false,"properties":{)" +
         top + "}}";
}

std::string config_values(const Config& config) {
  std::string out = "{";
  for (const KeyRow& row : kKeys) {
    std::string value;
    if (row.secret && !config.text(row.name).empty()) {
      value = "\"***\"";
    } else if (row.kind == KeyKind::kList) {
      value = "[";
      for (const std::string& one : config.list(row.name))
        value += (value.size() > 1 ? "," : "") + json_text(one);
      value += ']';
    } else if (row.kind == KeyKind::kCount || row.kind == KeyKind::kFlag) {
      value = config.text(row.name);
    } else {
      value = json_text(config.text(row.name));
    }
    out += fmt::format("{}\"{}\":{{\"value\":{},\"from\":{}}}", out.size() > 1 ? "," : "", row.name,
                       value, json_text(config.origin(row.name)));
  }
  return out + "}";
}

std::string config_table() {
  std::string out = "| key | default | environment | meaning |\n| --- | --- | --- | --- |\n";
  for (const KeyRow& row : kKeys) {
    std::string text(row.text);
    if (row.kind == KeyKind::kCount || row.kind == KeyKind::kDuration)
      text += fmt::format(" ({})", range_of(row));
    out +=
        fmt::format("| `{}` | {} | `{}` | {} |\n", row.name,
                    row.fallback.empty() ? std::string("none") : fmt::format("`{}`", row.fallback),
                    environment_name(row.name), text);
  }
  return out;
}

}  // namespace sluice::gateway
