// Client frames, as rows: a text and what it is.
#include "gateway/codec/client_frames.hpp"

#include <gtest/gtest.h>

#include <random>

#include "gateway/limits.hpp"

namespace sluice::gateway {
namespace {

using Kind = ClientParse::Kind;

struct Row {
  std::string text;
  Kind kind;
  std::string message;  // a part of it
};

TEST(ClientFrames, EachTextIsAFrameInvalidOrBad) {
  const std::string long_id(limits::kIdBytes + 1, 'i');
  const std::string full_id(limits::kIdBytes, 'i');
  const Row rows[] = {
      {R"({"t":"hello"})", Kind::kFrame, ""},
      {R"({"t":"hello","resume":{"epoch":"e","offset":3},"session":"s","token":"x"})", Kind::kFrame,
       ""},
      {R"({"t":"hello","resume":{"epoch":"e"}})", Kind::kBad, "`resume`"},
      {R"({"t":"hello","resume":{"epoch":"e","offset":-1}})", Kind::kBad, "`resume`"},
      {R"({"t":"hello","resume":3})", Kind::kBad, "`resume`"},
      {R"({"t":"send","id":"a","topic":"t","data":{}})", Kind::kFrame, ""},
      {R"({"data":{"x":1},"topic":"t","id":"a","t":"send","unknown":[1,{"deep":null}]})",
       Kind::kFrame, ""},
      {R"({"t":"send","id":")" + full_id + R"(","topic":"t","data":1})", Kind::kFrame, ""},
      {R"({"t":"send","id":")" + long_id + R"(","topic":"t","data":1})", Kind::kBad,
       "`id` has 1 to 200"},
      {R"({"t":"send","id":"","topic":"t","data":1})", Kind::kBad, "`id`"},
      {R"({"t":"send","topic":"t","data":1})", Kind::kBad, "`id` is missing"},
      {R"({"t":"send","id":7,"topic":"t","data":1})", Kind::kBad, "`id` is of the wrong type"},
      {R"({"t":"send","id":"a","data":1})", Kind::kInvalid, "`topic` is missing"},
      {R"({"t":"send","id":"a","topic":["t"],"data":1})", Kind::kInvalid,
       "`topic` is of the wrong type"},
      {R"({"t":"send","id":"a","topic":"t"})", Kind::kInvalid, "`data` is missing"},
      {R"({"t":"send","id":"a","topic":"t","data":{"x":1,"x":2}})", Kind::kInvalid, "duplicate"},
      {R"({"t":"send","id":"a","topic":"t","data":{"x":"\ud800"}})", Kind::kInvalid, "surrogate"},
      {R"({"t":"send","id":"a","topic":"t","data":{"x":)", Kind::kInvalid, "at byte"},
      {R"({"t":"send","topic":"t","data":{"x":01},"id":"a"})", Kind::kBad, "at byte"},
      {R"({"t":"send","id":"a","topic":"t","data":1,"correlation":"two words"})", Kind::kInvalid,
       "`correlation`"},
      {R"({"t":"send","id":"a","topic":"t","data":1,"ttl_ms":1.5})", Kind::kInvalid, "`ttl_ms`"},
      {R"({"t":"send","id":"a","topic":"t","data":1,"version":2})", Kind::kFrame, ""},
      {R"({"t":"send","id":"a","topic":"t","data":1,"version":"2"})", Kind::kInvalid, "`version`"},
      {R"({"t":"cancel","id":"a","run":"r"})", Kind::kFrame, ""},
      {R"({"t":"cancel","id":"a"})", Kind::kInvalid, "`run` is missing"},
      {R"({"t":"ack","offset":12})", Kind::kFrame, ""},
      {R"({"t":"ack","offset":12,"id":5})", Kind::kFrame, ""},  // `id` is unknown to `ack`
      {R"({"t":"ack","offset":-1})", Kind::kBad, "`offset`"},
      {R"({"t":"ack","offset":9223372036854775808})", Kind::kBad, "`offset`"},
      {R"({"t":"ack"})", Kind::kBad, "`offset` is missing"},
      {R"({"t":"ping"})", Kind::kFrame, ""},
      {R"({"t":"refresh","token":"x"})", Kind::kFrame, ""},
      {R"({"t":"refresh"})", Kind::kBad, "`token` is missing"},
      {R"({"t":"dance","id":"a"})", Kind::kBad, "unknown `t`"},
      {R"({"id":"a"})", Kind::kBad, "`t` is missing"},
      {R"([1])", Kind::kBad, "not a JSON object"},
      {R"("hello")", Kind::kBad, "not a JSON object"},
      {"", Kind::kBad, "at byte"},
      {R"({"t":"ping"} {})", Kind::kBad, "at byte"},
  };
  FrameFields fields;
  for (const Row& row : rows) {
    const ClientParse parsed = parse_client_frame(row.text, fields);
    EXPECT_EQ(parsed.kind, row.kind) << row.text << " -> " << parsed.message;
    EXPECT_NE(parsed.message.find(row.message), std::string::npos)
        << row.text << " -> " << parsed.message;
  }
}

TEST(ClientFrames, DataIsTheRawTextAndFieldsAreNotLeftOver) {
  FrameFields fields;
  parse_client_frame(
      R"({"t":"send","id":"a","topic":"t","data": {"n": [1, 2]} ,"ttl_ms":5,"version":3})", fields);
  EXPECT_EQ(fields.version, 3u);
  EXPECT_EQ(fields.data, R"({"n": [1, 2]})");
  EXPECT_EQ(fields.ttl_ms, 5u);
  parse_client_frame(R"({"t":"ping"})", fields);
  EXPECT_TRUE(fields.id.empty());
  EXPECT_EQ(fields.ttl_ms, 0u);
  EXPECT_EQ(fields.version, 0u);
}

TEST(ClientFrames, MutationsNeitherCrashNorPassLimits) {
  const std::string seeds[] = {R"({"t":"send","id":"abc","topic":"asks","correlation":"c",)"
                               R"("data":{"text":"hé\u00e9","n":[1,2.5e3,null,true]}})",
                               R"({"t":"hello","resume":{"epoch":"e","offset":3},"session":"s"})",
                               R"({"t":"cancel","id":"x","run":"r"})"};
  std::mt19937 random(3);
  FrameFields fields;
  int frames = 0;
  for (int round = 0; round < 60000; ++round) {
    std::string text = seeds[random() % std::size(seeds)];
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      if (random() % 3 == 0) {
        text.erase(at, 1 + random() % 3);
      } else if (random() % 2 == 0) {
        text.insert(at, 1, "{}[]\",:\\0e-tn"[random() % 13]);
      } else {
        text[at] = static_cast<char>(random());
      }
      if (text.empty()) text = "{";
    }
    const ClientParse parsed = parse_client_frame(text, fields);
    if (parsed.kind == Kind::kFrame) {
      ++frames;
      EXPECT_LE(fields.id.size(), limits::kIdBytes);
    } else {
      EXPECT_FALSE(parsed.message.empty());
    }
    if (parsed.kind == Kind::kInvalid) {
      EXPECT_FALSE(fields.id.empty());
    }
  }
  EXPECT_GT(frames, 1000);  // the mutations are not all nonsense
}

TEST(ClientFrames, WhatTheServerSaysIsStrictJson) {
  std::string out;
  const std::string odd = "a\"b\\c\n\x01é";
  append_welcome(out, {.session = odd,
                       .client = odd,
                       .epoch = "e",
                       .offset = 7,
                       .recovered = false,
                       .pending = 4,
                       .frame_bytes = 9});
  const std::vector<std::string> runs = {"r1", "r2"};
  const auto check = [&](std::string_view wanted) {
    vm::JsonReader reader(out);
    EXPECT_TRUE(reader.skip() && reader.finish()) << out;
    EXPECT_NE(out.find(wanted), std::string::npos) << out;
    out.clear();
  };
  check(R"("recovered":false,"limits":{"pending":4,"frame_bytes":9}})");
  append_accepted(
      out,
      {.id = odd, .event = "e", .seq = 3, .runs = runs, .correlation = "c", .duplicate = true});
  check(R"("seq":3,"runs":["r1","r2"],"correlation":"c","duplicate":true})");
  const std::vector<vm::JsonProblem> errors = {{"/text", odd, false}};
  append_rejected(
      out, {.id = "i", .code = "invalid", .message = odd, .retry_after_ms = 5, .errors = &errors});
  check(R"("retry_after_ms":5,"errors":[{"path":"/text")");
  append_delivery(out, {.offset = 9,
                        .name = "Answer",
                        .data_json = "{}",
                        .run = "r",
                        .correlation = "c",
                        .causation = "k",
                        .outcome = true});
  check(R"({"t":"delivery","offset":9,"name":"Answer","data":{},"run":"r",)"
        R"("correlation":"c","causation":"k","outcome":true})");
  append_slow(out, 3, 4);
  check(R"({"t":"slow","pending":3,"retry_after_ms":4})");
  append_error(out, "bad_frame", odd);
  check(R"({"t":"error","code":"bad_frame")");
}

}  // namespace
}  // namespace sluice::gateway
