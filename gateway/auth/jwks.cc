// KeySet::add_jwks: JSON Web Key Sets (RFC 7517).
#include <fmt/format.h>

#include <map>

#include "gateway/auth/base64.hpp"
#include "gateway/auth/keys.hpp"
#include "vm/json_reader.hpp"

namespace sluice::gateway {
namespace {

using vm::JsonKind;
using vm::JsonReader;

using Members = std::map<std::string, std::string, std::less<>>;

// The string members of one JWK; others do not matter here.
Members read_members(JsonReader& reader) {
  Members members;
  std::string_view key;
  if (!reader.begin_object()) return members;
  while (reader.next_key(&key)) {
    if (reader.kind() != JsonKind::string) {
      reader.skip();
      continue;
    }
    std::string value;
    if (reader.read_string(&value)) members.insert_or_assign(std::string(key), std::move(value));
  }
  return members;
}

std::string text_of(const Members& members, std::string_view name) {
  const auto found = members.find(name);
  return found == members.end() ? std::string() : found->second;
}

std::string bytes_of(const Members& members, std::string_view name) {
  return base64url_decode(text_of(members, name)).value_or(std::string());
}

tl::expected<Key, std::string> key_of(const Members& jwk) {
  const std::string id = text_of(jwk, "kid");
  const std::string kind = text_of(jwk, "kty");
  const std::string curve = text_of(jwk, "crv");
  if (kind == "oct") return Key::from_secret(id, bytes_of(jwk, "k"));
  if (kind == "RSA") return Key::from_rsa(id, bytes_of(jwk, "n"), bytes_of(jwk, "e"));
  if (kind == "EC" && curve == "P-256") {
    return Key::from_p256(id, bytes_of(jwk, "x"), bytes_of(jwk, "y"));
  }
  if (kind == "OKP" && curve == "Ed25519") return Key::from_ed25519(id, bytes_of(jwk, "x"));
  return tl::unexpected(fmt::format("kty `{}`, crv `{}` is not supported", kind, curve));
}

// A key says `use` or `alg` where it is meant for something else than our signatures.
bool is_meant_for_us(const Members& jwk, const Key& key) {
  const std::string use = text_of(jwk, "use");
  const std::string algorithm = text_of(jwk, "alg");
  return (use.empty() || use == "sig") &&
         (algorithm.empty() || algorithm == name_of(key.algorithm()));
}

}  // namespace

tl::expected<void, std::string> KeySet::add_jwks(std::string_view json) {
  JsonReader reader(json);
  std::string_view key;
  std::string skipped;
  std::size_t added = 0;
  if (reader.begin_object()) {
    while (reader.next_key(&key)) {
      if (key != "keys") {
        reader.skip();
        continue;
      }
      if (!reader.begin_array()) break;
      while (reader.next_element()) {
        const Members jwk = read_members(reader);
        if (!reader.ok()) break;
        auto made = key_of(jwk);
        if (!made) {
          skipped = made.error();
        } else if (is_meant_for_us(jwk, *made)) {
          add(std::move(*made));
          ++added;
        }
      }
    }
  }
  if (!reader.finish())
    return tl::unexpected(fmt::format("not a JWKS document: {}", reader.error()));
  if (added > 0) return {};
  return tl::unexpected(
      fmt::format("the JWKS document holds no key for HS256, RS256, ES256 or EdDSA{}{}",
                  skipped.empty() ? "" : ": ", skipped));
}

}  // namespace sluice::gateway
