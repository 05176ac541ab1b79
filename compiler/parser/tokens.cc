#include "compiler/parser/tokens.hpp"

#include <algorithm>

#include "FlowLexer.h"
#include "compiler/parser/byte_stream.hpp"

namespace sluice::compiler {
namespace {

using grammar::FlowLexer;

// A guess that is right for most programs, so that the list grows once at most.
constexpr std::size_t kBytesPerToken = 4;

bool only_space_before(std::string_view text, std::size_t offset) {
  while (offset > 0 && (text[offset - 1] == ' ' || text[offset - 1] == '\t')) --offset;
  return offset == 0 || text[offset - 1] == '\n' || text[offset - 1] == '\r';
}

}  // namespace

bool MendedPlaces::contains(uint32_t line) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const Lines& range) { return line >= range.first && line <= range.last; });
}

TokenList lex(const SourceFile& file) {
  ByteStream stream(file.text());
  FlowLexer lexer(&stream);
  lexer.removeErrorListeners();
  TokenList list;
  list.tokens.reserve(file.text().size() / kBytesPerToken + 16);
  while (true) {
    const std::unique_ptr<antlr4::Token> token = lexer.nextToken();
    const size_t type = token->getType();
    const auto begin = static_cast<uint32_t>(token->getStartIndex());
    const auto end =
        type == antlr4::Token::EOF ? begin : static_cast<uint32_t>(token->getStopIndex() + 1);
    const Span span{file.id(), begin, end};
    if (type == FlowLexer::COMMENT || type == FlowLexer::DOC_COMMENT) {
      list.comments.push_back({span, type == FlowLexer::DOC_COMMENT});
      continue;
    }
    FlowToken& kept =
        list.tokens.emplace_back(type, file.text(), span, static_cast<uint32_t>(token->getLine()),
                                 static_cast<uint32_t>(token->getCharPositionInLine()));
    kept.first_on_line = only_space_before(file.text(), begin);
    if (type == antlr4::Token::EOF) return list;
  }
}

namespace {

// What stood on a mended line may have been cut away with the mistake.
void note_words_of_mended_lines(const SourceFile& file, TokenList& list) {
  auto ranges = list.mended.ranges();
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::uint32_t next = 1;  // each line once: thousands of ranges may begin at the same
  for (const auto& [first, last] : ranges) {
    const std::uint32_t end = std::min(last, file.line_count());
    for (std::uint32_t line = std::max(first, next); line <= end; ++line) {
      list.damage.add_words(file.line_text(line));
      next = line + 1;
    }
  }
}

}  // namespace

TokenList read_tokens(const SourceFile& file, Diagnostics& diagnostics) {
  TokenList list = lex(file);
  mend_foreign_signs(file, list, diagnostics);
  mend_brackets(file, list, diagnostics);
  note_words_of_mended_lines(file, list);
  check_nesting(list, diagnostics);
  for (uint32_t i = 0; i < list.tokens.size(); ++i) list.tokens[i].set_index(i);
  return list;
}

std::vector<Comment> comments_of(const SourceFile& file) {
  return lex(file).comments;
}

antlr4::Token* FlowTokenStream::LT(ssize_t offset) {
  if (offset == 0) return nullptr;
  const ssize_t at = static_cast<ssize_t>(index_) + (offset > 0 ? offset - 1 : offset);
  if (at < 0) return nullptr;
  return &tokens_[std::min(static_cast<size_t>(at), tokens_.size() - 1)];
}

size_t FlowTokenStream::LA(ssize_t offset) {
  const antlr4::Token* token = LT(offset);
  return token == nullptr ? antlr4::Token::INVALID_TYPE : token->getType();
}

void FlowTokenStream::consume() {
  if (index_ + 1 < tokens_.size()) ++index_;
}

std::string FlowTokenStream::getText(const antlr4::misc::Interval& interval) {
  std::string text;
  for (ssize_t i = interval.a; i >= 0 && i <= interval.b; ++i) {
    if (static_cast<size_t>(i) >= tokens_.size()) break;
    text += tokens_[static_cast<size_t>(i)].text();
  }
  return text;
}

std::string FlowTokenStream::getText(antlr4::RuleContext* context) {
  return getText(context->getSourceInterval());
}

std::string FlowTokenStream::getText(antlr4::Token* start, antlr4::Token* stop) {
  if (start == nullptr || stop == nullptr) return {};
  return getText(antlr4::misc::Interval(start->getTokenIndex(), stop->getTokenIndex()));
}

}  // namespace sluice::compiler
