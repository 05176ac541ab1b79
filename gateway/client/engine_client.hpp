// A small blocking client of an engine, for command-line tools: one HTTP request per connection,
// and a client socket.
//
// Speaks http only; an engine behind TLS is reached through whatever ends the TLS.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace sluice::gateway {

struct EngineUrl {
  std::string host;
  std::string port;
  std::string authority;  // as the Host header names it
};
// http://HOST[:PORT][/]. Error: a sentence.
tl::expected<EngineUrl, std::string> parse_engine_url(std::string_view text);

struct ClientRequest {
  std::string method = "GET";
  std::string target;  // begins with /, already escaped
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::chrono::seconds timeout{130};
};
struct ClientResponse {
  unsigned status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
};
// Error: a sentence; the engine could not be reached, or spoke no HTTP.
tl::expected<ClientResponse, std::string> request(const EngineUrl& url, const ClientRequest& what);

// Escapes one path segment or query value.
std::string url_escape(std::string_view text);

// A client socket (`sluice.v1.json`). Texts in, texts out; pings are answered.
class EngineSocket {
 public:
  static tl::expected<EngineSocket, std::string> open(const EngineUrl& url,
                                                      const std::string& token);
  EngineSocket(EngineSocket&&) noexcept;
  EngineSocket& operator=(EngineSocket&&) = delete;
  ~EngineSocket();

  tl::expected<void, std::string> send(std::string_view text);
  // The next text frame. Error: the connection is lost, closed (the reason is in the sentence), or
  // nothing came in time.
  tl::expected<std::string, std::string> receive(std::chrono::milliseconds at_most);

 private:
  struct State;
  explicit EngineSocket(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::gateway
