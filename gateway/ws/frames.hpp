// RFC 6455 frames: a pure codec without I/O, shared by the server's sockets and the tests.
//
// Why not Beast's websocket::stream: it writes one message per system call and reads one message
// per await. A gateway that forwards fifteen small frames per workflow spends its time there; with
// this codec a burst of fifty frames is one read and one write. No extension is spoken, so every
// RSV bit is an error.
//
// Thread rule: a FrameReader belongs to one connection and is not shared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::gateway::ws {

enum class Opcode : std::uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// Close codes of RFC 6455 that this side sends; the product's own (4000-4999) are rows of
// gateway/codes.def.
inline constexpr std::uint16_t kCloseNormal = 1000;
inline constexpr std::uint16_t kCloseGoingAway = 1001;
inline constexpr std::uint16_t kCloseProtocolError = 1002;
inline constexpr std::uint16_t kCloseUnsupported = 1003;
inline constexpr std::uint16_t kCloseNoStatus =
    1005;  // never on the wire: the peer's close frame was empty
inline constexpr std::uint16_t kCloseInvalidText = 1007;

// Bytes of the longest frame header: 2 + 8 bytes of length + 4 of mask.
inline constexpr std::size_t kHeaderBytesMax = 14;

enum class Role : std::uint8_t {
  kServer,
  kClient
};  // a server requires masked frames, a client unmasked ones

struct Item {
  enum class Kind : std::uint8_t {
    kNeedMore,  // nothing whole is left in the input
    kText,      // `payload`: a whole message, valid UTF-8
    kBinary,    // `payload`: a whole message
    kPing,      // `payload`: to be sent back
    kPong,
    kClose,     // `code` (kCloseNoStatus if empty), `payload`: the reason
    kTooLarge,  // said once when a message passes the limit; what follows of it is dropped by later
                // calls
    kDropped,   // the message that was too large has ended
    kError,     // `code`: the close code to send, `payload`: why. The reader is dead from here on
  };
  Kind kind = Kind::kNeedMore;
  std::string_view payload;  // valid until the next call of next() or until the input changes
  std::uint16_t code = 0;
};

// Takes messages out of a byte stream.
class FrameReader {
 public:
  FrameReader(Role role, std::size_t message_bytes_max)
      : role_(role), message_bytes_max_(message_bytes_max) {}

  // Takes the next item out of [*begin, end) and moves *begin behind what was consumed. Frames are
  // unmasked in place, so payloads of unfragmented messages are views into the input: no copy. At
  // kNeedMore the caller keeps the rest
  // [*begin, end) and calls again with it and what has come since.
  Item next(char** begin, char* end);

  // How many more bytes the frame under way needs beyond those left over, as far as known. At
  // least 1.
  std::size_t bytes_wanted(std::size_t left_over) const;

 private:
  struct Header {
    bool fin = false;
    Opcode opcode = Opcode::kContinuation;
    std::uint64_t length = 0;
    std::size_t header_bytes = 0;
    std::array<unsigned char, 4> mask{};
  };
  Item fail(std::uint16_t code, std::string_view why);
  std::optional<Item> read_header(const char* begin, const char* end, Header& header);
  std::optional<Item> check_order(const Header& header);
  Item control(const Header& header, std::string_view payload);
  Item data(const Header& header, std::string_view payload);
  Item whole_message(Opcode opcode, std::string_view payload);
  Item start_dropping(char** begin, char* end, const Header& header);
  std::optional<Item> go_on_dropping(char** begin, char* end);

  Role role_;
  std::size_t message_bytes_max_;
  bool dead_ = false;
  bool in_message_ = false;  // fragments of a message have come, its last has not
  bool dropping_ = false;    // the message under way was too large
  bool drop_last_ = false;   // the frame being dropped is the message's last
  std::uint64_t drop_left_ = 0;
  std::size_t frame_bytes_ =
      0;  // whole size of the incomplete frame at the head of the input, 0 if unknown
  Opcode message_opcode_ = Opcode::kText;
  std::string message_;  // fragments so far
  bool message_taken_ = false;
};

// Appends one unmasked frame (server to client).
void append_frame(std::string& out, Opcode opcode, std::string_view payload);
// Appends a close frame; `reason` is cut to 123 bytes at a character's border.
void append_close(std::string& out, std::uint16_t code, std::string_view reason);
// Appends one masked frame (client to server); `fin` false begins or continues a fragmented
// message.
void append_masked_frame(std::string& out, Opcode opcode, std::string_view payload,
                         std::array<unsigned char, 4> mask, bool fin = true);

// XORs `size` bytes at `bytes` with the mask.
void apply_mask(char* bytes, std::size_t size, std::array<unsigned char, 4> mask);

// True if `text` is UTF-8 without surrogates and overlong forms.
bool is_utf8(std::string_view text);

// True if a peer may send this code in a close frame (RFC 6455, 7.4).
bool is_close_code(std::uint16_t code);

// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`; empty if the key is not base64 of 16 bytes.
std::string accept_key(std::string_view key);

}  // namespace sluice::gateway::ws
