#include "gateway/auth/token.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "gateway/auth/base64.hpp"
#include "gateway/limits.hpp"
#include "vm/json_reader.hpp"

namespace sluice::gateway {
namespace {

using vm::JsonReader;

constexpr std::int64_t kTimeMax = std::int64_t{1} << 53;

tl::unexpected<TokenError> refuse(std::string message, bool expired = false) {
  return tl::unexpected(TokenError{std::move(message), expired});
}

struct Parts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
  std::string_view signed_text;
};

std::optional<Parts> split(std::string_view token) {
  const std::size_t first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1),
               token.substr(second + 1), token.substr(0, second)};
}

struct Header {
  std::string algorithm;
  std::string key_id;
  bool critical = false;
};

std::optional<Header> read_header(std::string_view json) {
  JsonReader reader(json);
  Header header;
  std::string_view key;
  if (!reader.begin_object()) return std::nullopt;
  while (reader.next_key(&key)) {
    if (key == "alg") {
      reader.read_string(&header.algorithm);
    } else if (key == "kid") {
      reader.read_string(&header.key_id);
    } else {
      header.critical |= key == "crit";
      reader.skip();
    }
  }
  if (!reader.finish()) return std::nullopt;
  return header;
}

struct Claims {
  std::string tenant;
  std::string subject;
  std::string scope;
  std::optional<double> expires;
  std::optional<double> not_before;
};

// NumericDate may have a fraction.
void read_time(JsonReader& reader, std::optional<double>& time) {
  double value = 0;
  if (reader.read_double(&value)) time = value;
}

std::optional<Claims> read_claims(std::string_view json) {
  JsonReader reader(json);
  Claims claims;
  std::string_view key;
  if (!reader.begin_object()) return std::nullopt;
  while (reader.next_key(&key)) {
    if (key == "tenant") {
      reader.read_string(&claims.tenant);
    } else if (key == "sub") {
      reader.read_string(&claims.subject);
    } else if (key == "scope") {
      reader.read_string(&claims.scope);
    } else if (key == "exp") {
      read_time(reader, claims.expires);
    } else if (key == "nbf") {
      read_time(reader, claims.not_before);
    } else {
      reader.skip();
    }
  }
  if (!reader.finish()) return std::nullopt;
  return claims;
}

void add_scopes(std::string_view scope, Principal& principal) {
  while (!scope.empty()) {
    const std::size_t end = scope.find(' ');
    const std::string_view word = scope.substr(0, end);
    scope.remove_prefix(end == std::string_view::npos ? scope.size() : end + 1);
    if (word == "client") principal.is_client = true;
    if (word == "worker") principal.is_worker = true;
    if (word == "admin") principal.is_admin = true;
    if (word.starts_with("publish:")) principal.publish.emplace_back(word.substr(8));
    if (word.starts_with("subscribe:")) principal.subscribe.emplace_back(word.substr(10));
  }
}

tl::expected<Principal, TokenError> principal_of(const Claims& claims, std::int64_t now_s) {
  const auto leeway = static_cast<double>(limits::kTokenLeeway.count());
  if (!claims.expires) return refuse("the token has no `exp`");
  if (*claims.expires > static_cast<double>(kTimeMax) || *claims.expires < 0) {
    return refuse("the token's `exp` is no time");
  }
  if (static_cast<double>(now_s) > *claims.expires + leeway) {
    return refuse("the token has expired", true);
  }
  if (claims.not_before && static_cast<double>(now_s) < *claims.not_before - leeway) {
    return refuse("the token is not valid yet");
  }
  if (claims.tenant.empty() || claims.tenant.size() > limits::kNameBytes) {
    return refuse("the token has no `tenant`, or too long a one");
  }
  if (claims.subject.size() > limits::kNameBytes) return refuse("the token's `sub` is too long");
  Principal principal;
  principal.tenant = claims.tenant;
  principal.client = claims.subject;
  principal.expires_s = static_cast<std::int64_t>(*claims.expires);
  add_scopes(claims.scope, principal);
  if (principal.is_client && principal.client.empty()) {
    return refuse("the token has the scope `client` and no `sub`: it names no client");
  }
  return principal;
}

void append_number(std::string& out, std::string_view name, std::int64_t value) {
  out += fmt::format(",\"{}\":{}", name, value);
}

void append_text(std::string& out, std::string_view name, std::string_view value) {
  if (out.back() != '{') out += ',';
  vm::append_json_string(name, out);
  out += ':';
  vm::append_json_string(value, out);
}

}  // namespace

bool Principal::may_publish(std::string_view topic) const {
  if (!publish.empty()) {
    return std::find(publish.begin(), publish.end(), topic) != publish.end();
  }
  return is_client || is_admin;
}

tl::expected<Principal, TokenError> verify_token(const KeySet& keys, std::string_view token,
                                                 std::int64_t now_s) {
  if (token.empty()) return refuse("there is no token");
  if (token.size() > limits::kTokenBytes) return refuse("the token is too long");
  const auto parts = split(token);
  if (!parts) return refuse("the token is not a JWT");
  const auto header_text = base64url_decode(parts->header);
  const auto payload = base64url_decode(parts->payload);
  const auto signature = base64url_decode(parts->signature);
  if (!header_text || !payload || !signature) return refuse("the token is not a JWT");
  const auto header = read_header(*header_text);
  if (!header) return refuse("the token's header is not JSON");
  const auto algorithm = algorithm_of(header->algorithm);
  if (!algorithm) return refuse("the token's algorithm is not one of HS256, RS256, ES256, EdDSA");
  if (header->critical) return refuse("the token has critical extensions");
  const bool good = std::any_of(keys.keys().begin(), keys.keys().end(), [&](const Key& key) {
    // The algorithm is the key's; what the token says only chooses among keys.
    if (key.algorithm() != *algorithm) return false;
    if (!header->key_id.empty() && !key.id().empty() && key.id() != header->key_id) return false;
    return key.verify(parts->signed_text, *signature);
  });
  if (!good) return refuse("no configured key has signed the token");
  const auto claims = read_claims(*payload);
  if (!claims) return refuse("the token's claims are not JSON, or of the wrong types");
  return principal_of(*claims, now_s);
}

std::string make_token(const Key& key, const TokenRequest& request) {
  std::string header = "{";
  append_text(header, "alg", name_of(key.algorithm()));
  append_text(header, "typ", "JWT");
  if (!key.id().empty()) append_text(header, "kid", key.id());
  header += '}';
  std::string claims = "{";
  append_text(claims, "tenant", request.tenant);
  if (!request.client.empty()) append_text(claims, "sub", request.client);
  append_text(claims, "scope", request.scope);
  append_number(claims, "iat", request.now_s);
  append_number(claims, "exp", request.now_s + request.ttl_s);
  claims += '}';
  const std::string text = base64url_encode(header) + "." + base64url_encode(claims);
  return text + "." + base64url_encode(key.sign(text));
}

tl::expected<std::shared_ptr<const Principal>, TokenError> TokenCache::verify(
    std::string_view token, std::int64_t now_s) {
  if (const auto found = by_token_.find(token); found != by_token_.end()) {
    const auto entry = found->second;
    if (now_s <= entry->principal->expires_s + limits::kTokenLeeway.count()) {
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->principal;
    }
    by_token_.erase(found);
    entries_.erase(entry);
  }
  auto principal = verify_token(keys_, token, now_s);
  if (!principal) return tl::unexpected(principal.error());
  entries_.push_front(
      {std::string(token), std::make_shared<const Principal>(std::move(*principal))});
  by_token_.emplace(entries_.front().token, entries_.begin());
  if (entries_.size() > limit_) {
    by_token_.erase(entries_.back().token);
    entries_.pop_back();
  }
  return entries_.front().principal;
}

}  // namespace sluice::gateway
