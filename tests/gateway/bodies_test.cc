// Bodies and targets of requests, taken apart.
#include <gtest/gtest.h>

#include <random>

#include "gateway/net/url.hpp"
#include "gateway/routes/deployment_bodies.hpp"
#include "gateway/routes/event_bodies.hpp"

namespace sluice::gateway {
namespace {

TEST(EventBodies, OneEventIsTheBodyAndItsKeyTheHeaders) {
  const auto one = read_events("application/json; charset=utf-8", "k", R"({"a":1})");
  ASSERT_TRUE(one.has_value());
  EXPECT_FALSE(one->batch);
  EXPECT_EQ(one->events.at(0).data, R"({"a":1})");
  EXPECT_EQ(one->events.at(0).id, "k");
  const auto random = read_events("", "", "{}");
  EXPECT_EQ(random->events.at(0).id.size(), 36u);
}

TEST(EventBodies, ABatchGivesEachItsOwnKey) {
  for (const auto& [type, body] : {std::pair{"application/json", "[1, {\"a\":[2]} ]"},
                                   {"application/x-ndjson", "1\n\n {\"a\":[2]} \r\n"}}) {
    const auto batch = read_events(type, "k", body);
    ASSERT_TRUE(batch.has_value()) << type;
    EXPECT_TRUE(batch->batch);
    ASSERT_EQ(batch->events.size(), 2u);
    EXPECT_EQ(batch->events[0].id, "k/0");
    EXPECT_EQ(batch->events[1].id, "k/1");
  }
  EXPECT_TRUE(read_events("application/json", "", "[]")->events.empty());
  const auto broken = read_events("application/json", "", "[1,");
  ASSERT_FALSE(broken.has_value());
  EXPECT_EQ(broken.error().code, ErrorCode::invalid);
  EXPECT_TRUE(broken.error().malformed);
  const auto long_key = read_events("application/json", std::string(199, 'k'), "[1]");
  EXPECT_TRUE(long_key->events.at(0).problem.has_value());
}

TEST(EventBodies, CloudEventsCarryTheirKey) {
  const auto one = read_events("application/cloudevents+json", "ignored",
                               R"({"specversion":"1.0","id":"x","source":"s","type":"t",)"
                               R"("data":{"a":1},"traceparent":"00-a"})");
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->events.at(0).id, "x");
  EXPECT_EQ(one->events.at(0).data, R"({"a":1})");
  EXPECT_EQ(one->events.at(0).traceparent, "00-a");
  const auto batch = read_events(
      "application/cloudevents-batch+json", "",
      R"([{"specversion":"1.0","id":"x","data":1},{"specversion":"0.3","id":"y","data":1},)"
      R"({"specversion":"1.0","id":"z"},5])");
  ASSERT_TRUE(batch.has_value());
  ASSERT_EQ(batch->events.size(), 4u);
  EXPECT_FALSE(batch->events[0].problem.has_value());
  for (int i = 1; i < 4; ++i)
    EXPECT_TRUE(batch->events[static_cast<std::size_t>(i)].problem.has_value()) << i;
}

TEST(EventBodies, CloudEventsNameTheVersionOfTheirData) {
  const auto version = [](std::string_view schema) {
    const std::string text =
        R"({"specversion":"1.0","id":"x","data":1,"dataschema":")" + std::string(schema) + R"("})";
    const auto one = read_events("application/cloudevents+json", "", text);
    return one.has_value() ? one->events.at(0).version : 99;
  };
  EXPECT_EQ(version("https://example.org/ask/v2"), 2u);
  EXPECT_EQ(version("/v12"), 12u);
  for (const char* none :
       {"", "https://example.org/ask", "https://example.org/v2/ask", "/v", "/vx"}) {
    EXPECT_EQ(version(none), 0u) << none;
  }
}

TEST(EventBodies, OtherContentTypesAreNamed) {
  const auto other = read_events("text/csv", "", "a,b");
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, ErrorCode::unsupported_media_type);
}

TEST(DeploymentBodies, SourcesComeAsAMapOrAsAForm) {
  const auto map = read_sources("application/json", R"({"a/b.flow":"module a.b","c.flow":"x"})");
  ASSERT_TRUE(map.has_value());
  EXPECT_EQ(map->at("a/b.flow"), "module a.b");
  const std::string form =
      "--XX\r\nContent-Disposition: form-data; name=\"a/b.flow\"; "
      "filename=\"b.flow\"\r\n\r\nmodule a.b\r\n\r\n--XX\r\n"
      "content-disposition: form-data; name=\"file\"; filename=\"c.flow\"\r\nContent-Type: "
      "text/plain\r\n\r\n--X\r\n--XX--\r\n";
  const auto parts = read_sources("multipart/form-data; boundary=XX", form);
  ASSERT_TRUE(parts.has_value()) << parts.error().message;
  EXPECT_EQ(parts->at("a/b.flow"), "module a.b\r\n");
  EXPECT_EQ(parts->at("c.flow"), "--X");
}

TEST(DeploymentBodies, EverythingElseIsRefusedByName) {
  const struct {
    const char* type;
    const char* body;
    ErrorCode code;
  } rows[] = {
      {"application/json", R"({"/etc/x.flow":""})", ErrorCode::invalid},
      {"application/json", R"({"../x.flow":""})", ErrorCode::invalid},
      {"application/json", R"({"a\\b.flow":""})", ErrorCode::invalid},
      {"application/json", R"({"a.txt":""})", ErrorCode::invalid},
      {"application/json", R"({"a.flow":1})", ErrorCode::invalid},
      {"application/json", R"({})", ErrorCode::invalid},
      {"application/json", R"({"a.flow":)", ErrorCode::bad_request},
      {"application/json", R"([])", ErrorCode::bad_request},
      {"multipart/form-data", "", ErrorCode::bad_request},
      {"multipart/form-data; boundary=XX", "--XX\r\nnope", ErrorCode::bad_request},
      {"multipart/form-data; boundary=XX", "--XX\r\n\r\nno name\r\n--XX--", ErrorCode::bad_request},
      {"text/plain", "x", ErrorCode::unsupported_media_type},
  };
  for (const auto& row : rows) {
    const auto sources = read_sources(row.type, row.body);
    ASSERT_FALSE(sources.has_value()) << row.body;
    EXPECT_EQ(sources.error().code, row.code) << row.body;
    EXPECT_FALSE(sources.error().message.empty());
  }
}

TEST(Bodies, MutationsDoNoHarm) {
  const std::string form =
      "--XX\r\nContent-Disposition: form-data; name=\"a.flow\"\r\n\r\nmodule "
      "a\r\n--XX\r\nContent-Disposition: form-data; "
      "name=\"b.flow\"\r\n\r\nmodule b\r\n--XX--\r\n";
  const std::string events = R"([{"specversion":"1.0","id":"x","data":{"a":[1,2]}},)"
                             R"({"specversion":"1.0","id":"y","data":null}])";
  std::mt19937 random(13);
  for (int round = 0; round < 30000; ++round) {
    std::string text = round % 2 == 0 ? form : events;
    for (unsigned changes = 1 + random() % 4; changes > 0 && !text.empty(); --changes) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text.erase(at, 1 + random() % 9);
      } else {
        text[at] = static_cast<char>(random());
      }
    }
    if (round % 2 == 0) {
      (void)read_sources("multipart/form-data; boundary=XX", text);
    } else {
      for (const char* type :
           {"application/json", "application/cloudevents-batch+json", "application/x-ndjson"}) {
        const auto read = read_events(type, "k", text);
        if (!read) continue;
        for (const EventInput& event : read->events) {
          if (event.data.empty()) continue;
          EXPECT_GE(event.data.data(), text.data());
          EXPECT_LE(event.data.data() + event.data.size(), text.data() + text.size());
        }
      }
    }
  }
}

TEST(Targets, AreDecodedOrRefused) {
  std::vector<std::string> path;
  std::vector<std::pair<std::string, std::string>> query;
  ASSERT_TRUE(parse_target("/v1/clients/a%2Fb%20c/deliveries?after=1&x=a+b%26&y&&z=", path, query));
  EXPECT_EQ(path, (std::vector<std::string>{"v1", "clients", "a/b c", "deliveries"}));
  EXPECT_EQ(query, (std::vector<std::pair<std::string, std::string>>{
                       {"after", "1"}, {"x", "a b&"}, {"y", ""}, {"z", ""}}));
  ASSERT_TRUE(parse_target("/", path, query));
  EXPECT_TRUE(path.empty());
  for (const char* bad : {"", "v1", "*", "/a%2", "/a%zz", "/a%00", "/%ff", "/a?x=%"})
    EXPECT_FALSE(parse_target(bad, path, query)) << bad;
}

}  // namespace
}  // namespace sluice::gateway
