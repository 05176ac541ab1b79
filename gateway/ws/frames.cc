#include "gateway/ws/frames.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

namespace sluice::gateway::ws {
namespace {

constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kRsv = 0x70;
constexpr std::uint8_t kOpcodeBits = 0x0f;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kLengthBits = 0x7f;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;
constexpr std::size_t kControlBytesMax = 125;

bool is_control(Opcode opcode) {
  return static_cast<std::uint8_t>(opcode) >= 8;
}

bool is_known(std::uint8_t opcode) {
  return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

void append_length(std::string& out, std::size_t size, std::uint8_t mask_bit) {
  if (size < kLength16) {
    out.push_back(static_cast<char>(mask_bit | size));
  } else if (size <= 0xffff) {
    out.push_back(static_cast<char>(mask_bit | kLength16));
    out.push_back(static_cast<char>(size >> 8));
    out.push_back(static_cast<char>(size & 0xff));
  } else {
    out.push_back(static_cast<char>(mask_bit | kLength64));
    for (int shift = 56; shift >= 0; shift -= 8) {
      out.push_back(static_cast<char>((static_cast<std::uint64_t>(size) >> shift) & 0xff));
    }
  }
}

}  // namespace

Item FrameReader::fail(std::uint16_t code, std::string_view why) {
  dead_ = true;
  return {Item::Kind::kError, why, code};
}

// nullopt: the header is whole and good. kNeedMore or kError otherwise.
std::optional<Item> FrameReader::read_header(const char* begin, const char* end, Header& header) {
  const auto have = static_cast<std::size_t>(end - begin);
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(begin[i]); };
  if (have < 2) return Item{};
  if ((byte(0) & kRsv) != 0) return fail(kCloseProtocolError, "reserved bits are set");
  if (!is_known(byte(0) & kOpcodeBits)) return fail(kCloseProtocolError, "unknown opcode");
  header.fin = (byte(0) & kFin) != 0;
  header.opcode = static_cast<Opcode>(byte(0) & kOpcodeBits);
  const bool masked = (byte(1) & kMasked) != 0;
  if (masked != (role_ == Role::kServer)) return fail(kCloseProtocolError, "wrong masking");
  header.length = byte(1) & kLengthBits;
  header.header_bytes = 2;
  if (is_control(header.opcode)) {
    if (!header.fin) return fail(kCloseProtocolError, "fragmented control frame");
    if (header.length > kControlBytesMax) return fail(kCloseProtocolError, "long control frame");
  }
  const std::size_t extra = header.length == kLength16 ? 2 : header.length == kLength64 ? 8 : 0;
  if (have < 2 + extra) return Item{};
  if (extra != 0) {
    header.length = 0;
    for (std::size_t i = 0; i < extra; ++i) header.length = header.length << 8 | byte(2 + i);
    if ((header.length >> 63) != 0) return fail(kCloseProtocolError, "length over 63 bits");
    const bool minimal = extra == 2 ? header.length >= kLength16 : header.length > 0xffff;
    if (!minimal) return fail(kCloseProtocolError, "length is not in its shortest form");
  }
  header.header_bytes += extra;
  if (masked) {
    if (have < header.header_bytes + 4) return Item{};
    std::memcpy(header.mask.data(), begin + header.header_bytes, 4);
    header.header_bytes += 4;
  }
  return std::nullopt;
}

std::optional<Item> FrameReader::check_order(const Header& header) {
  if (is_control(header.opcode)) return std::nullopt;
  const bool continues = header.opcode == Opcode::kContinuation;
  if (continues && !in_message_) return fail(kCloseProtocolError, "continuation of nothing");
  if (!continues && in_message_) return fail(kCloseProtocolError, "message inside a message");
  return std::nullopt;
}

Item FrameReader::next(char** begin, char* end) {
  if (dead_) return {};
  if (message_taken_) {
    message_.clear();
    message_taken_ = false;
  }
  if (drop_left_ > 0) {
    if (const auto item = go_on_dropping(begin, end)) return *item;
  }
  while (true) {
    Header header;
    frame_bytes_ = 0;
    if (const auto item = read_header(*begin, end, header)) return *item;
    if (const auto item = check_order(header)) return *item;
    if (!is_control(header.opcode)) {
      if (dropping_ || header.length > message_bytes_max_ - message_.size()) {
        const Item item = start_dropping(begin, end, header);
        if (item.kind == Item::Kind::kNeedMore && drop_left_ == 0) continue;
        return item;
      }
    }
    const auto have = static_cast<std::size_t>(end - *begin);
    if (have - header.header_bytes < header.length) {
      frame_bytes_ = header.header_bytes + static_cast<std::size_t>(header.length);
      return {};
    }
    char* payload = *begin + header.header_bytes;
    const auto size = static_cast<std::size_t>(header.length);
    *begin = payload + size;
    if (role_ == Role::kServer) apply_mask(payload, size, header.mask);
    if (is_control(header.opcode)) return control(header, {payload, size});
    const Item item = data(header, {payload, size});
    if (item.kind != Item::Kind::kNeedMore) return item;
  }
}

// Consumes the frame's header and what has come of its payload. kTooLarge at the message's first
// refused frame, kDropped at its end, else kNeedMore.
Item FrameReader::start_dropping(char** begin, char* end, const Header& header) {
  const bool first = !dropping_;
  dropping_ = true;
  in_message_ = !header.fin;
  drop_last_ = header.fin;
  drop_left_ = header.length;
  message_.clear();
  message_.shrink_to_fit();
  *begin += header.header_bytes;
  if (first) {
    // At least one byte is left, since the limit is not negative: the end is said by a later call.
    return {Item::Kind::kTooLarge, {}, 0};
  }
  if (const auto item = go_on_dropping(begin, end)) return *item;
  return {};
}

std::optional<Item> FrameReader::go_on_dropping(char** begin, char* end) {
  const std::uint64_t dropped =
      std::min<std::uint64_t>(drop_left_, static_cast<std::uint64_t>(end - *begin));
  *begin += dropped;
  drop_left_ -= dropped;
  if (drop_left_ > 0) return Item{};
  if (!drop_last_) return std::nullopt;
  dropping_ = false;
  return Item{Item::Kind::kDropped, {}, 0};
}

Item FrameReader::control(const Header& header, std::string_view payload) {
  if (header.opcode == Opcode::kPing) return {Item::Kind::kPing, payload, 0};
  if (header.opcode == Opcode::kPong) return {Item::Kind::kPong, payload, 0};
  if (payload.empty()) return {Item::Kind::kClose, {}, kCloseNoStatus};
  if (payload.size() == 1) return fail(kCloseProtocolError, "close frame of one byte");
  const auto code = static_cast<std::uint16_t>(static_cast<std::uint8_t>(payload[0]) << 8 |
                                               static_cast<std::uint8_t>(payload[1]));
  if (!is_close_code(code)) return fail(kCloseProtocolError, "no such close code");
  if (!is_utf8(payload.substr(2))) return fail(kCloseInvalidText, "close reason is not UTF-8");
  return {Item::Kind::kClose, payload.substr(2), code};
}

Item FrameReader::data(const Header& header, std::string_view payload) {
  if (header.opcode != Opcode::kContinuation) {
    if (header.fin) return whole_message(header.opcode, payload);
    in_message_ = true;
    message_opcode_ = header.opcode;
    message_.assign(payload);
    return {};
  }
  message_.append(payload);
  if (!header.fin) return {};
  in_message_ = false;
  message_taken_ = true;
  return whole_message(message_opcode_, message_);
}

Item FrameReader::whole_message(Opcode opcode, std::string_view payload) {
  if (opcode == Opcode::kBinary) return {Item::Kind::kBinary, payload, 0};
  if (!is_utf8(payload)) return fail(kCloseInvalidText, "text is not UTF-8");
  return {Item::Kind::kText, payload, 0};
}

std::size_t FrameReader::bytes_wanted(std::size_t left_over) const {
  return frame_bytes_ > left_over ? frame_bytes_ - left_over : 1;
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload) {
  out.push_back(static_cast<char>(kFin | static_cast<std::uint8_t>(opcode)));
  append_length(out, payload.size(), 0);
  out.append(payload);
}

void append_close(std::string& out, std::uint16_t code, std::string_view reason) {
  std::size_t size = std::min(reason.size(), kControlBytesMax - 2);
  while (size > 0 && size < reason.size() &&
         (static_cast<std::uint8_t>(reason[size]) & 0xc0) == 0x80) {
    --size;
  }
  std::string payload;
  payload.push_back(static_cast<char>(code >> 8));
  payload.push_back(static_cast<char>(code & 0xff));
  payload.append(reason.substr(0, size));
  append_frame(out, Opcode::kClose, payload);
}

void append_masked_frame(std::string& out, Opcode opcode, std::string_view payload,
                         std::array<unsigned char, 4> mask, bool fin) {
  out.push_back(static_cast<char>((fin ? kFin : 0) | static_cast<std::uint8_t>(opcode)));
  append_length(out, payload.size(), kMasked);
  out.append(reinterpret_cast<const char*>(mask.data()), mask.size());
  const std::size_t at = out.size();
  out.append(payload);
  apply_mask(out.data() + at, payload.size(), mask);
}

void apply_mask(char* bytes, std::size_t size, std::array<unsigned char, 4> mask) {
  std::uint32_t word32 = 0;
  std::memcpy(&word32, mask.data(), 4);
  const std::uint64_t word = static_cast<std::uint64_t>(word32) << 32 | word32;
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    std::uint64_t chunk = 0;
    std::memcpy(&chunk, bytes + i, 8);
    chunk ^= word;
    std::memcpy(bytes + i, &chunk, 8);
  }
  for (; i < size; ++i) bytes[i] = static_cast<char>(bytes[i] ^ mask[i % 4]);
}

bool is_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    if (end - p >= 8) {
      std::uint64_t chunk = 0;
      std::memcpy(&chunk, p, 8);
      if ((chunk & 0x8080808080808080u) == 0) {
        p += 8;
        continue;
      }
    }
    if (*p < 0x80) {
      ++p;
      continue;
    }
    const int more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
    if (*p < 0xc2 || *p > 0xf4 || end - p <= more) return false;
    // The second byte alone decides overlong forms, surrogates and what lies beyond U+10FFFF.
    const unsigned low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
    const unsigned high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return false;
    for (int i = 2; i <= more; ++i) {
      if ((p[i] & 0xc0) != 0x80) return false;
    }
    p += more + 1;
  }
  return true;
}

bool is_close_code(std::uint16_t code) {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

std::string accept_key(std::string_view key) {
  constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  if (key.size() != 24 || !key.ends_with("==")) return {};
  std::string text(key);
  text += kGuid;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1)
    return {};
  std::array<unsigned char, 64> encoded{};
  const int written = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(size));
  return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(written)};
}

}  // namespace sluice::gateway::ws
