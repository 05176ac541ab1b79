// read_config: TOML, JSON and the environment into a Config.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "gateway/config/config.hpp"
#include "vm/json_reader.hpp"

namespace sluice::gateway {
namespace {

using vm::JsonKind;
using vm::JsonReader;

std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// ", did you mean `…`?" for the nearest name, if it is near enough.
std::string suggestion(std::string_view word, const std::vector<std::string>& names) {
  std::size_t best = std::max<std::size_t>(2, word.size() / 4) + 1;
  std::string_view found;
  for (const std::string& name : names) {
    const std::size_t distance = edits(word, name);
    if (distance < best) {
      best = distance;
      found = name;
    }
  }
  return found.empty() ? std::string() : fmt::format("; did you mean `{}`?", found);
}

const KeyRow* row_of(std::string_view name) {
  for (const KeyRow& row : key_rows()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

bool is_section(std::string_view name) {
  return std::any_of(key_rows().begin(), key_rows().end(), [&](const KeyRow& row) {
    return row.name.size() > name.size() && row.name.starts_with(name) &&
           row.name[name.size()] == '.';
  });
}

class FileReader {
 public:
  FileReader(Config& config, std::vector<std::string>& problems)
      : config_(config), problems_(problems) {}

  void unknown(const std::string& key) {
    std::vector<std::string> names;
    for (const KeyRow& row : key_rows()) names.emplace_back(row.name);
    problems_.push_back(fmt::format("unknown key `{}`{}", key, suggestion(key, names)));
  }
  void note(const std::string& key, const tl::expected<void, std::string>& done) {
    if (!done) problems_.push_back(fmt::format("`{}` {}", key, done.error()));
  }
  void wrong(const std::string& key) {
    problems_.push_back(fmt::format("`{}` has a value of the wrong type", key));
  }

  void read_toml(const toml::table& table, const std::string& prefix) {
    for (const auto& [name, node] : table) {
      const std::string key = prefix + std::string(name.str());
      if (const toml::table* inner = node.as_table()) {
        is_section(key) ? read_toml(*inner, key + ".") : unknown(key);
      } else if (row_of(key) == nullptr) {
        unknown(key);
      } else if (const auto* text = node.as_string()) {
        set_text(key, text->get());
      } else if (const auto* number = node.as_integer()) {
        note(key, config_.set_count(key, number->get(), "file"));
      } else if (const auto* flag = node.as_boolean()) {
        note(key, config_.set_flag(key, flag->get(), "file"));
      } else if (const toml::array* items = node.as_array()) {
        read_array(key, *items);
      } else {
        wrong(key);
      }
    }
  }

  void read_json(JsonReader& reader, const std::string& prefix) {
    std::string_view name;
    if (!reader.begin_object()) return;
    while (reader.next_key(&name)) {
      const std::string key = prefix + std::string(name);
      const JsonKind kind = reader.kind();
      if (kind == JsonKind::object && is_section(key)) {
        read_json(reader, key + ".");
      } else if (row_of(key) == nullptr) {
        unknown(key);
        reader.skip();
      } else {
        read_json_value(reader, key, kind);
      }
    }
  }

 private:
  void set_text(const std::string& key, const std::string& text) {
    const KeyKind kind = row_of(key)->kind;
    if (kind != KeyKind::kText && kind != KeyKind::kDuration) return wrong(key);
    note(key, config_.set(key, text, "file"));
  }

  void read_array(const std::string& key, const toml::array& items) {
    std::vector<std::string> values;
    for (const toml::node& item : items) {
      const auto* text = item.as_string();
      if (text == nullptr) return wrong(key);
      values.push_back(text->get());
    }
    note(key, config_.set_list(key, std::move(values), "file"));
  }

  void read_json_value(JsonReader& reader, const std::string& key, JsonKind kind) {
    std::string text;
    std::int64_t number = 0;
    bool flag = false;
    std::string_view raw;
    switch (kind) {
      case JsonKind::string:
        if (reader.read_string(&text)) set_text(key, text);
        return;
      case JsonKind::number:
        if (reader.read_int(&number)) note(key, config_.set_count(key, number, "file"));
        return;
      case JsonKind::boolean:
        if (reader.read_bool(&flag)) note(key, config_.set_flag(key, flag, "file"));
        return;
      case JsonKind::array:
        return read_json_array(reader, key);
      default:
        break;
    }
    if (reader.skip(&raw)) wrong(key);  // what is no JSON is said once, at the end
  }

  void read_json_array(JsonReader& reader, const std::string& key) {
    std::vector<std::string> values;
    bool all = reader.begin_array();
    while (reader.next_element()) {
      if (reader.kind() == JsonKind::string) {
        reader.read_string(&values.emplace_back());
      } else {
        all = false;
        reader.skip();
      }
    }
    all ? note(key, config_.set_list(key, std::move(values), "file")) : wrong(key);
  }

  Config& config_;
  std::vector<std::string>& problems_;
};

void read_file(Config& config, std::string_view text, std::string_view name,
               std::vector<std::string>& problems) {
  FileReader reader(config, problems);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    JsonReader json(text);
    const std::size_t before = problems.size();
    reader.read_json(json, "");
    if (!json.finish()) {
      problems.resize(before);  // a text that is cut off is one mistake
      problems.push_back(
          fmt::format("{} is not JSON: {} at byte {}", name, json.error(), json.error_offset()));
    }
    return;
  }
  try {
    reader.read_toml(toml::parse(text, name), "");
  } catch (const toml::parse_error& error) {
    problems.push_back(fmt::format("{}:{}:{}: not TOML: {}", name, error.source().begin.line,
                                   error.source().begin.column, error.description()));
  }
}

}  // namespace

// A variable without the prefix of a section belongs to another program of the project (SLUICE_URL,
// SLUICE_TOKEN …).
bool is_foreign_variable(std::string_view name) {
  if (name == "SLUICE_LISTEN") return false;
  return std::none_of(key_rows().begin(), key_rows().end(), [&](const KeyRow& row) {
    const std::size_t dot = row.name.find('.');
    return dot != std::string_view::npos &&
           name.starts_with(environment_name(row.name.substr(0, dot + 1)));
  });
}

std::vector<std::string> read_environment(Config& config, const Environment& environment) {
  std::vector<std::string> problems;
  std::vector<std::string> names;
  for (const KeyRow& row : key_rows()) names.push_back(environment_name(row.name));
  for (const auto& [name, value] : environment) {
    if (is_foreign_variable(name)) continue;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      problems.push_back(
          fmt::format("unknown environment variable `{}`{}", name, suggestion(name, names)));
      continue;
    }
    const KeyRow& row = key_rows()[static_cast<std::size_t>(found - names.begin())];
    if (auto done = config.set(row.name, value, "environment " + name); !done) {
      problems.push_back(fmt::format("`{}` ({}) {}", row.name, name, done.error()));
    }
  }
  return problems;
}

std::vector<std::string> read_config(Config& config, std::string_view file_text,
                                     std::string_view file_name, const Environment& environment) {
  std::vector<std::string> problems;
  read_file(config, file_text, file_name, problems);
  for (std::string& problem : read_environment(config, environment))
    problems.push_back(std::move(problem));
  return problems;
}

Environment environment_of(char** variables) {
  Environment environment;
  for (; variables != nullptr && *variables != nullptr; ++variables) {
    const std::string_view entry(*variables);
    const std::size_t equals = entry.find('=');
    if (entry.starts_with("SLUICE_") && equals != std::string_view::npos) {
      environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
  }
  return environment;
}

}  // namespace sluice::gateway
