// The configuration: both formats, the environment over the file, and every mistake by name.
#include "gateway/config/config.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "gateway/codes.hpp"
#include "gateway/config/duration.hpp"
#include "vm/json_reader.hpp"

namespace sluice::gateway {
namespace {

TEST(ConfigFile, TomlAndJsonSayTheSame) {
  Config toml;
  EXPECT_TRUE(read_config(toml,
                          "listen = \"0.0.0.0:9\"\n[limits]\npending = 7\n[workers]\nlease = "
                          "\"5s\"\n[auth]\npublic_keys = [\"a.pem\", \"b.pem\"]\n",
                          "x.toml", {})
                  .empty());
  Config json;
  EXPECT_TRUE(
      read_config(
          json,
          R"({"listen":"0.0.0.0:9","limits":{"pending":7},"workers":{"lease":"5s"},)"
          R"("auth":{"public_keys":["a.pem","b.pem"]}})",
          "x.json", {})
          .empty());
  for (const Config* config : {&toml, &json}) {
    EXPECT_EQ(config->text("listen"), "0.0.0.0:9");
    EXPECT_EQ(config->count("limits.pending"), 7);
    EXPECT_EQ(config->count("workers.lease"), 5000);
    EXPECT_EQ(config->list("auth.public_keys").size(), 2u);
    EXPECT_EQ(config->origin("limits.pending"), "file");
    EXPECT_EQ(config->origin("log.level"), "default");
  }
}

TEST(ConfigFile, TheEnvironmentGoesBeforeTheFile) {
  Config config;
  EXPECT_TRUE(read_config(config, "[limits]\npending = 7\n", "x.toml",
                          {{"SLUICE_LIMITS_PENDING", "9"},
                           {"SLUICE_AUTH_PUBLIC_KEYS", "a.pem, b.pem"},
                           {"SLUICE_URL", "not ours"}})
                  .empty());
  EXPECT_EQ(config.count("limits.pending"), 9);
  EXPECT_EQ(config.list("auth.public_keys"), (std::vector<std::string>{"a.pem", "b.pem"}));
  EXPECT_EQ(config.origin("limits.pending"), "environment SLUICE_LIMITS_PENDING");
}

TEST(ConfigFile, EachMistakeIsNamed) {
  const struct {
    const char* text;
    Environment environment;
    const char* wanted;
  } rows[] = {
      {"lisen = \"x\"", {}, "unknown key `lisen`; did you mean `listen`?"},
      {"[limits]\nframe_byte = 5000",
       {},
       "unknown key `limits.frame_byte`; did you mean `limits.frame_bytes`?"},
      {"[limit]\npending = 5", {}, "unknown key `limit`"},
      {"[limits]\npending = 0", {}, "`limits.pending` is a number from 1 to 100000, not 0"},
      {"[limits]\npending = \"7\"", {}, "`limits.pending` has a value of the wrong type"},
      {"[limits]\npending = 1.5", {}, "`limits.pending` has a value of the wrong type"},
      {"listen = 8080", {}, "`listen` is a text, not a number"},
      {"[workers]\nlease = \"5 seconds\"", {}, "`workers.lease` is a duration from 1s to 1h"},
      {"[log]\nlevel = \"loud\"", {}, "`log.level` is debug, info, warn or error, not `loud`"},
      {"[auth]\npublic_keys = [1]", {}, "`auth.public_keys` has a value of the wrong type"},
      {"listen = ", {}, "x:1:"},
      {R"({"limits":{"pending":)", {}, "x is not JSON"},
      {R"({"limits":{"pendng":3}})", {}, "did you mean `limits.pending`?"},
      {R"({"limits":5})", {}, "unknown key `limits`"},
      {"",
       {{"SLUICE_LIMITS_PENDIN", "3"}},
       "unknown environment variable `SLUICE_LIMITS_PENDIN`; did you mean "
       "`SLUICE_LIMITS_PENDING`?"},
      {"",
       {{"SLUICE_LIMITS_PENDING", "many"}},
       "`limits.pending` (SLUICE_LIMITS_PENDING) is a number"},
  };
  for (const auto& row : rows) {
    Config config;
    const auto problems = read_config(config, row.text, "x", row.environment);
    ASSERT_EQ(problems.size(), 1u) << row.text;
    EXPECT_NE(problems[0].find(row.wanted), std::string::npos) << problems[0];
  }
}

TEST(ConfigFile, SchemaAndValuesAreJsonAndKeepSecrets) {
  Config config;
  EXPECT_TRUE(
      read_config(config, "[auth]\nhs256_secret = \"0123456789012345678901234567890123\"", "x", {})
          .empty());
  for (const std::string& text : {config_schema(), config_values(config)}) {
    vm::JsonReader reader(text);
    EXPECT_TRUE(reader.skip() && reader.finish()) << reader.error() << "\n" << text;
    EXPECT_EQ(text.find("01234567890"), std::string::npos);
  }
  for (const KeyRow& row : key_rows()) {
    EXPECT_NE(config_schema().find(environment_name(row.name)), std::string::npos);
    EXPECT_FALSE(row.text.empty());
  }
}

TEST(ConfigFile, DurationsAreThoseOfTheLanguage) {
  EXPECT_EQ(parse_duration("250ms")->count(), 250);
  EXPECT_EQ(parse_duration("7d")->count(), 7ll * 86400000);
  for (const char* bad :
       {"", "5", "ms", "-1s", "1 s", "1.5s", "5S", "99999999999999999999s", "4000d"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
  for (const char* good : {"0ms", "250ms", "2s", "90s", "5m", "1h", "7d"}) {
    EXPECT_EQ(parse_duration(format_duration(*parse_duration(good))), parse_duration(good)) << good;
  }
}

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A document holds what is made from a table, between its markers. UPDATE_GOLDEN=1 writes it anew.
void expect_generated(const std::string& name, const std::string& marker, const std::string& made) {
  const std::string path = std::string(SLUICE_SOURCE_DIR) + "/docs/" + name;
  const std::string text = read(path);
  const std::string begin = "<!-- " + marker + " -->\n";
  const std::size_t from = text.find(begin);
  const std::size_t to = text.find("<!-- end -->", from);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos)
      << name << " has no place for " << marker;
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text.substr(0, from + begin.size()) + made + text.substr(to);
    return;
  }
  EXPECT_EQ(text.substr(from + begin.size(), to - from - begin.size()), made)
      << name << ": run with UPDATE_GOLDEN=1";
}

TEST(Documents, TheTableOfKeysIsThatOfTheProgram) {
  expect_generated("operations.md", "flowd config --format table", config_table());
}

TEST(Documents, TheRegistryOfCodesIsThatOfTheProgram) {
  std::string errors =
      "| code | HTTP | again later | meaning | what mends it |\n| --- | --- | --- | --- | --- |\n";
  for (const ErrorRow& row : error_rows()) {
    errors += "| `" + std::string(row.name) + "` | " + std::to_string(row.status) + " | " +
              (row.retryable ? "yes" : "no") + " | " + std::string(row.text) + " | " +
              std::string(row.mend) + " |\n";
  }
  expect_generated("codes.md", "gateway/codes.def: errors", errors);
  std::string closes =
      "| number | word | reconnects by itself | meaning |\n| --- | --- | --- | --- |\n";
  for (const CloseRow& row : close_rows()) {
    closes += "| " + std::to_string(static_cast<unsigned>(row.code)) + " | `" +
              std::string(row.name) + "` | " + (row.reconnect ? "yes" : "no") + " | " +
              std::string(row.text) + " |\n";
    // protocols.md: a number's range says whether a client reconnects.
    const auto number = static_cast<unsigned>(row.code);
    EXPECT_EQ(row.reconnect, number == 1012 || (number >= 4000 && number <= 4399)) << number;
  }
  expect_generated("codes.md", "gateway/codes.def: closes", closes);
}

}  // namespace
}  // namespace sluice::gateway
