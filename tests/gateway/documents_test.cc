// docs/openapi.yaml and docs/asyncapi.yaml name exactly what is served.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "gateway/codec/client_frames.hpp"
#include "gateway/codec/worker_frames.hpp"
#include "gateway/routes/router.hpp"

namespace sluice::gateway {
namespace {

std::string document(const std::string& name) {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/docs/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Documents, OpenApiListsTheServedRoutes) {
  std::istringstream lines(document("openapi.yaml"));
  std::set<std::string> listed;
  std::string path;
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_match(line, match, std::regex("  (/[^:]*):"))) {
      path = std::regex_replace(match[1].str(), std::regex("\\{[a-z]+\\}"), "*");
    } else if (std::regex_match(line, match, std::regex("    (get|post|put|delete):"))) {
      std::string method = match[1];
      std::transform(method.begin(), method.end(), method.begin(),
                     [](char c) { return static_cast<char>(c - 'a' + 'A'); });
      listed.insert(method + " " + path);
    }
  }
  const std::vector<std::string> routes = served_routes();
  EXPECT_EQ(listed, std::set<std::string>(routes.begin(), routes.end()));
}

// The words after `t: { const:` among the messages that a channel's party says.
TEST(Documents, AsyncApiListsTheServedFrames) {
  const std::string text = document("asyncapi.yaml");
  std::set<std::string> words;
  const std::regex constant("t: \\{ const: ([a-z]+) \\}");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), constant);
       it != std::sregex_iterator(); ++it)
    words.insert((*it)[1]);
  std::set<std::string> served = {"welcome", "accepted", "rejected", "delivery", "slow",
                                  "ok",      "pong",     "error",    "task",     "settled",
                                  "stale",   "token",    "stream",   "run",      "unsubscribed"};
  for (const std::string_view verb : client_verbs()) served.emplace(verb);
  for (const std::string_view verb : worker_verbs()) served.emplace(verb);
  EXPECT_EQ(words, served);
}

}  // namespace
}  // namespace sluice::gateway
