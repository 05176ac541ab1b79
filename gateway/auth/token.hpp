// Tokens: compact JWTs (RFC 7519) that say who asks and what they may do.
//
// Claims: `tenant` ("*": all), `sub` (the client; required for the scope `client`), `scope`
// (space-separated: client, worker, admin, publish:TOPIC, subscribe:GROUP), `exp` (required,
// seconds), `nbf` (optional). Checked with a leeway of limits::kTokenLeeway.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <unordered_map>
#include <vector>

#include "gateway/auth/keys.hpp"

namespace sluice::gateway {

// Who asks. Immutable; shared by the sockets that use the token.
struct Principal {
  std::string tenant;
  std::string client;  // `sub`; may be empty for workers and admins
  bool is_client = false;
  bool is_worker = false;
  bool is_admin = false;
  std::vector<std::string> publish;    // topics of `publish:` scopes; with any, only those
  std::vector<std::string> subscribe;  // groups
  std::int64_t expires_s = 0;          // `exp`; seconds since 1970

  bool all_tenants() const { return tenant == "*"; }
  bool is_operator() const { return is_admin && all_tenants(); }
  // May send to this topic: clients to all or to those named, admins to all, workers to none.
  bool may_publish(std::string_view topic) const;
};

struct TokenError {
  std::string message;  // why, without the token's content
  bool expired = false;
};

// Checks signature, algorithm, times and the claims' shape. Pure: `now_s` is the time.
[[nodiscard]] tl::expected<Principal, TokenError> verify_token(const KeySet& keys,
                                                               std::string_view token,
                                                               std::int64_t now_s);

struct TokenRequest {
  std::string tenant;
  std::string client;
  std::string scope;
  std::int64_t now_s = 0;
  std::int64_t ttl_s = 0;
};
// A token signed by `key`. REQUIRES: key.can_sign().
std::string make_token(const Key& key, const TokenRequest& request);

// Verified tokens by their text, so that a signature is paid once. Belongs to one io thread; keeps
// the newest `limit`.
class TokenCache {
 public:
  TokenCache(const KeySet& keys, std::size_t limit) : keys_(keys), limit_(limit) {}

  [[nodiscard]] tl::expected<std::shared_ptr<const Principal>, TokenError> verify(
      std::string_view token, std::int64_t now_s);

 private:
  struct Entry {
    std::string token;
    std::shared_ptr<const Principal> principal;
  };
  const KeySet& keys_;
  std::size_t limit_;
  std::list<Entry> entries_;  // newest first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_token_;
};

}  // namespace sluice::gateway
