// The codec against Beast's WebSocket client: two implementations of RFC 6455 understand each
// other.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <boost/asio/io_context.hpp>
#include <boost/beast/_experimental/test/stream.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <thread>

#include "gateway/ws/frames.hpp"

namespace sluice::gateway::ws {
namespace {

namespace beast = boost::beast;

// A Beast client whose handshake was answered by us; `server` is our end of the wire.
struct Pair {
  boost::asio::io_context io;
  beast::test::stream server{io};
  beast::websocket::stream<beast::test::stream> client{io};

  Pair() {
    client.next_layer().connect(server);
    std::thread peer([this] { answer_handshake(); });
    client.handshake("localhost", "/v1/ws");
    peer.join();
    client.auto_fragment(true);
    client.write_buffer_bytes(64);
  }
  void answer_handshake() {
    std::string head;
    char buffer[4096];
    while (head.find("\r\n\r\n") == std::string::npos) {
      head.append(buffer, server.read_some(boost::asio::buffer(buffer)));
    }
    const std::size_t at = head.find("Sec-WebSocket-Key: ") + 19;
    const std::string answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
        "Upgrade\r\nSec-WebSocket-Accept: " +
        accept_key(head.substr(at, head.find("\r\n", at) - at)) + "\r\n\r\n";
    boost::asio::write(server, boost::asio::buffer(answer));
  }
};

TEST(FramesBeast, EachReadsWhatTheOtherWrites) {
  EXPECT_TRUE(rc::check("against Beast", [] {
    Pair pair;
    const auto messages = *rc::gen::container<std::vector<std::string>>(
        rc::gen::container<std::string>(rc::gen::inRange<char>('a', 'z')));
    // Beast writes, in fragments of at most 64 bytes, and we read.
    for (const std::string& message : messages) pair.client.write(boost::asio::buffer(message));
    pair.client.ping("hello");
    std::string bytes(pair.server.nread_bytes() + pair.server.str().size(), '\0');
    bytes = std::string(pair.server.str());
    FrameReader reader(Role::kServer, 1 << 20);
    char* at = bytes.data();
    std::vector<std::string> read;
    while (true) {
      const Item item = reader.next(&at, bytes.data() + bytes.size());
      if (item.kind == Item::Kind::kNeedMore) break;
      RC_ASSERT((item.kind == Item::Kind::kText || item.kind == Item::Kind::kPing));
      if (item.kind == Item::Kind::kText) read.emplace_back(item.payload);
    }
    RC_ASSERT(read == messages);
    // We write and Beast reads.
    std::string out;
    for (const std::string& message : messages) append_frame(out, Opcode::kText, message);
    append_close(out, 4400, "enough");
    boost::asio::write(pair.server, boost::asio::buffer(out));
    for (const std::string& message : messages) {
      beast::flat_buffer buffer;
      pair.client.read(buffer);
      RC_ASSERT(beast::buffers_to_string(buffer.data()) == message);
    }
    beast::flat_buffer buffer;
    beast::error_code error;
    pair.client.read(buffer, error);
    RC_ASSERT(error == beast::websocket::error::closed);
    RC_ASSERT(pair.client.reason().code == 4400);
  }));
}

}  // namespace
}  // namespace sluice::gateway::ws
