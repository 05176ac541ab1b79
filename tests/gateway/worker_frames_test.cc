// Worker frames and the bodies of the workers' HTTP calls.
#include "gateway/codec/worker_frames.hpp"

#include <gtest/gtest.h>

#include "gateway/limits.hpp"

namespace sluice::gateway {
namespace {

struct Row {
  std::string text;
  bool good;
  std::string message;
};

TEST(WorkerFrames, EachTextIsAFrameOrBad) {
  const Row rows[] = {
      {R"({"t":"hello","worker":"w","tasks":["a","b"],"credit":8})", true, ""},
      {R"({"t":"hello","worker":"w","tasks":[],"reclaim":["l"]})", true, ""},
      {R"({"t":"hello","worker":"","tasks":[]})", false, "`worker`"},
      {R"({"t":"hello","tasks":[]})", false, "`worker` is missing"},
      {R"({"t":"hello","worker":"w","tasks":"a"})", false, "`tasks` is of the wrong type"},
      {R"({"t":"hello","worker":"w","tasks":["a",1]})", false, "`tasks` is of the wrong type"},
      {R"({"t":"hello","worker":"w","tasks":[""]})", false, "`tasks`"},
      {R"({"t":"hello","worker":"w","tasks":[],"credit":-1})", false, "`credit`"},
      {R"({"t":"credit","n":3})", true, ""},
      {R"({"t":"credit"})", false, "`n` is missing"},
      {R"({"t":"renew","lease":"l","progress":{"any":1}})", true, ""},
      {R"({"t":"done","lease":"l","result":[1]})", true, ""},
      {R"({"t":"done","lease":"l"})", true, ""},
      {R"({"t":"done","result":1})", false, "`lease` is missing"},
      {R"({"t":"failed","lease":"l","kind":"Busy","message":"m","retry":true,"retry_after_ms":5})",
       true, ""},
      {R"({"t":"failed","lease":"l"})", false, "`kind` is missing"},
      {R"({"t":"failed","lease":"l","kind":"Busy","retry":"yes"})", false, "`retry`"},
      {R"({"t":"bye"})", true, ""},
      {R"({"t":"ping"})", true, ""},
      {R"({"t":""})", false, "unknown `t`"},
      {R"({"t":"poll","worker":"w","tasks":[]})", false, "unknown `t`"},
      {R"({"t":"done","lease":"l","result":{"a":1,"a":2}})", false, "duplicate"},
  };
  FrameFields fields;
  for (const Row& row : rows) {
    const WorkerParse parsed = parse_worker_frame(row.text, fields);
    EXPECT_EQ(parsed.good, row.good) << row.text << " -> " << parsed.message;
    EXPECT_NE(parsed.message.find(row.message), std::string::npos)
        << row.text << " -> " << parsed.message;
  }
}

TEST(WorkerFrames, NumbersAndTextsAreCutToTheirLimits) {
  FrameFields fields;
  EXPECT_TRUE(parse_worker_frame(R"({"t":"credit","n":9223372036854775807})", fields).good);
  EXPECT_EQ(fields.n, limits::kCreditMax);
  const std::string message(limits::kMessageBytes - 1, 'm');
  EXPECT_TRUE(
      parse_worker_frame(
          R"({"t":"failed","lease":"l","kind":"Busy","message":")" + message + R"(é"})", fields)
          .good);
  EXPECT_EQ(fields.message.size(), limits::kMessageBytes - 1);  // not in the middle of a character
  const std::string kind(limits::kKindBytes, 'K');
  EXPECT_TRUE(
      parse_worker_frame(R"({"t":"failed","lease":"l","kind":")" + kind + R"(more"})", fields)
          .good);
  EXPECT_EQ(fields.kind, kind);
}

TEST(WorkerFrames, BodiesAreFramesWithoutTheirNames) {
  FrameFields fields;
  EXPECT_TRUE(parse_worker_body(WorkerVerb::kDone, R"({"result":{"x":1}})", fields).good);
  EXPECT_EQ(fields.result, R"({"x":1})");
  EXPECT_TRUE(parse_worker_body(WorkerVerb::kDone, "", fields).good);
  EXPECT_TRUE(parse_worker_body(WorkerVerb::kRenew, "", fields).good);
  EXPECT_FALSE(parse_worker_body(WorkerVerb::kFailed, "{}", fields).good);
  EXPECT_TRUE(parse_worker_body(WorkerVerb::kPoll,
                                R"({"worker":"w","tasks":["a"],"n":2,"wait_ms":10})", fields)
                  .good);
  EXPECT_FALSE(
      parse_worker_body(WorkerVerb::kPoll, R"({"worker":"w","tasks":["a"],"n":"2"})", fields).good);
  EXPECT_FALSE(parse_worker_body(WorkerVerb::kPoll, R"({"tasks":)", fields).good);
}

TEST(WorkerFrames, ATaskSaysEverything) {
  std::string out;
  append_task(out, {.lease = "l",
                    .task = "a",
                    .args_json = R"(["x",1])",
                    .key = "k",
                    .tenant = "t",
                    .client = "c",
                    .run = "r",
                    .step = "s/t",
                    .correlation = "o",
                    .priority = "normal",
                    .attempt = 2,
                    .lease_ms = 30,
                    .deadline_ms = 9});
  EXPECT_EQ(
      out,
      R"({"t":"task","lease":"l","task":"a","args":["x",1],"attempt":2,"lease_ms":30,)"
      R"("deadline_ms":9,"key":"k",)"
      R"("tenant":"t","client":"c","run":"r","step":"s/t","correlation":"o","priority":"normal"})");
}

}  // namespace
}  // namespace sluice::gateway
