#include "vm/artifact.hpp"

#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"

namespace sluice::vm::testing {
namespace {

using Code = ArtifactError::Code;

// With a right checksum, so that what comes after it is looked at.
std::string sealed(std::string body) {
  Sha256 hash = sha256(body);
  body.append(reinterpret_cast<const char*>(hash.data()), hash.size());
  return body;
}

std::string unsealed(const std::string& artifact) {
  return artifact.substr(0, artifact.size() - sizeof(Sha256));
}

// Something of everything.
Program full_program() {
  Program p = SupportProgram().program;
  p.types.enums.push_back(
      {"Shape", {{"dot", {}}, {"circle", {{"r", kTypeInt, {}, {}, "r > 0", 2}}}}});
  p.types.enum_type(0);
  p.topics[0].order_function = 4711;
  p.pools[0].slots = 4;
  p.tasks[0].kinds = {"Broken", "Full"};
  StepSite& s = p.steps[0];
  s = {s.name, s.task,   1,    2,    3,    4,    5,    6,    7,   3000,
       true,   {"Lost"}, true, true, true, true, true, true, true};
  return p;
}

TEST(Artifact, comes_back_as_it_was) {
  Program program = full_program();
  std::string bytes = encode_artifact(program);
  auto back = decode_artifact(bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, program);
  EXPECT_EQ(encode_artifact(*back), bytes);
}

TEST(Artifact, ends_with_its_hash) {
  std::string bytes = encode_artifact(full_program());
  EXPECT_EQ(artifact_hash(bytes), sha256(unsealed(bytes)));
  EXPECT_EQ(bytes.substr(0, 8), std::string_view("SLUICE\0\1", 8));
}

TEST(Artifact, refuses_what_is_none) {
  for (std::string_view bytes : {std::string_view(""), std::string_view("SLUICE"),
                                 std::string_view("#!/bin/sh\nexit 0\n")}) {
    auto result = decode_artifact(bytes);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::not_an_artifact);
  }
  auto bare = decode_artifact(kArtifactMagic);
  ASSERT_FALSE(bare);
  EXPECT_EQ(bare.error().code, Code::bad_checksum);
}

TEST(Artifact, refuses_every_truncation_and_every_flipped_bit) {
  std::string bytes = encode_artifact(full_program());
  for (size_t length = kArtifactMagic.size(); length < bytes.size(); ++length) {
    auto result = decode_artifact(std::string_view(bytes).substr(0, length));
    ASSERT_FALSE(result) << length;
    EXPECT_EQ(result.error().code, Code::bad_checksum);
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1 << at % 8);
    EXPECT_FALSE(decode_artifact(flipped)) << at;
  }
}

// The same with a checksum that fits: never a crash, and what is accepted is well-formed enough to
// encode again.
TEST(Artifact, hostile_bytes_under_a_right_checksum_are_survived) {
  std::string body = unsealed(encode_artifact(full_program()));
  for (size_t at = kArtifactMagic.size(); at < body.size(); ++at) {
    for (unsigned char mask : {0x01, 0x80, 0xff}) {
      std::string hostile = body;
      hostile[at] = static_cast<char>(hostile[at] ^ mask);
      std::string bytes = sealed(hostile);
      auto result = decode_artifact(bytes);
      if (!result) continue;
      auto verified = verify(std::move(*result));
      EXPECT_TRUE(verified || !verified.error().message.empty());
    }
    EXPECT_FALSE(decode_artifact(sealed(body.substr(0, at)))) << at;
  }
}

TEST(Artifact, refuses_what_it_does_not_execute_by_name) {
  struct Row {
    std::function<void(Program&)> change;
    Code code;
    const char* message;
  };
  const Row rows[] = {
      {[](Program& p) { p.isa = 2; }, Code::unsupported, "instruction set 2"},
      {[](Program& p) {
         p.features = {"core", "race"};
       },
       Code::unsupported, "`race`"},
      {[](Program& p) { p.functions[0].code[0].op = static_cast<Op>(200); }, Code::malformed,
       "unknown instruction 200"},
      {[](Program& p) { p.tasks[0].name = std::string(300, 'x'); }, Code::too_large,
       "a name of 300 bytes"},
      {[](Program& p) { p.tasks[0].name = "\xff"; }, Code::malformed, "section `tasks`"},
      {[](Program& p) { p.types.records[1].fields.resize(2000); }, Code::too_large,
       "2000 fields, at most 1024"},
      {[](Program& p) { p.steps[0].timeout_ms = UINT64_MAX; }, Code::malformed, "section `steps`"},
  };
  for (const Row& row : rows) {
    Program program = full_program();
    row.change(program);
    auto result = decode_artifact(encode_artifact(program));
    ASSERT_FALSE(result) << row.message;
    EXPECT_EQ(result.error().code, row.code) << result.error().message;
    EXPECT_NE(result.error().message.find(row.message), std::string::npos)
        << result.error().message;
  }
}

TEST(Artifact, a_newer_format_is_told_from_a_broken_one) {
  std::string body = unsealed(encode_artifact(full_program()));
  const uint16_t next = kArtifactFormat + 1;
  body[8] = static_cast<char>(next);
  auto result = decode_artifact(sealed(body));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::unsupported);
  EXPECT_NE(result.error().message.find("format " + std::to_string(next)), std::string::npos);
}

TEST(Artifact, load_is_decode_and_verify) {
  SupportProgram p;
  EXPECT_TRUE(load_artifact(encode_artifact(p.program)));
  p.program.flows[0].function = 0;
  auto result = load_artifact(encode_artifact(p.program));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::invalid);
}

}  // namespace
}  // namespace sluice::vm::testing
