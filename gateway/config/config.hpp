// The configuration of flowd: one table of keys (schema.def), from which come the reader of TOML
// and JSON, the environment's names, the JSON Schema, the table in docs/operations.md, and the list
// of values in force.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace sluice::gateway {

enum class KeyKind : std::uint8_t { kText, kFlag, kCount, kDuration, kList };

struct KeyRow {
  std::string_view name;  // "limits.frame_bytes"
  KeyKind kind;
  std::string_view fallback;  // as text; durations as 30s, lists empty
  std::int64_t least;         // of counts, and of durations in ms
  std::int64_t most;
  bool secret;            // never shown
  std::string_view text;  // what it does
};
std::span<const KeyRow> key_rows();
// SLUICE_LIMITS_FRAME_BYTES
std::string environment_name(std::string_view key);

// The values in force. REQUIRES: the key is a row of that kind.
class Config {
 public:
  Config();  // the fallbacks

  const std::string& text(std::string_view key) const;
  bool flag(std::string_view key) const;
  std::int64_t count(std::string_view key) const;  // counts; durations in ms
  const std::vector<std::string>& list(std::string_view key) const;
  // Where a value came from: "default", "file", "environment SLUICE_…", "command line".
  const std::string& origin(std::string_view key) const;

  // Sets a key from text, as the environment gives it (lists with commas). Error: a sentence
  // without the key's name.
  tl::expected<void, std::string> set(std::string_view key, std::string_view text,
                                      std::string origin);
  tl::expected<void, std::string> set_list(std::string_view key, std::vector<std::string> values,
                                           std::string origin);
  tl::expected<void, std::string> set_count(std::string_view key, std::int64_t value,
                                            std::string origin);
  tl::expected<void, std::string> set_flag(std::string_view key, bool value, std::string origin);

 private:
  struct Value {
    std::string text;
    std::vector<std::string> list;
    std::int64_t count = 0;
    bool flag = false;
    std::string origin = "default";
  };
  const Value& at(std::string_view key) const;
  std::map<std::string, Value, std::less<>> values_;
};

using Environment = std::map<std::string, std::string>;  // of variables beginning with SLUICE_

// Reads a file's text (JSON if it begins with `{`, TOML otherwise) and then the environment into
// `config`. All problems are listed, each naming its key and, where there is one, the key that was
// probably meant.
std::vector<std::string> read_config(Config& config, std::string_view file_text,
                                     std::string_view file_name, const Environment& environment);
// Only the environment.
std::vector<std::string> read_environment(Config& config, const Environment& environment);
Environment environment_of(char** variables);

// Whether a variable that begins with SLUICE_ cannot be meant for flowd's configuration: it names
// none of its sections.
bool is_foreign_variable(std::string_view name);

// JSON Schema of the file, as a JSON object.
std::string config_schema();
// {"key":{"value":…,"from":"…"}…}; secrets are shown as "***".
std::string config_values(const Config& config);
// The Markdown table of docs/operations.md.
std::string config_table();

}  // namespace sluice::gateway
