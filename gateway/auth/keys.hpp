// Keys that sign and check tokens. Each key has exactly one algorithm, and a token is checked only
// by a key of the algorithm it names: an HS256 token "signed" with the bytes of an RSA public key
// finds no HS256 key and is refused.
//
// Thread rule: immutable once built; shared freely.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

extern "C" {
typedef struct evp_pkey_st EVP_PKEY;
}

namespace sluice::gateway {

enum class Algorithm : std::uint8_t { kHs256, kRs256, kEs256, kEdDsa };

std::string_view name_of(Algorithm algorithm);
std::optional<Algorithm> algorithm_of(std::string_view name);

class Key {
 public:
  // At least 32 bytes (RFC 7518, 3.2).
  [[nodiscard]] static tl::expected<Key, std::string> from_secret(std::string id,
                                                                  std::string secret);
  // A public or private key in PEM: RSA of 2048 bits or more (RS256), EC P-256 (ES256), Ed25519
  // (EdDSA).
  [[nodiscard]] static tl::expected<Key, std::string> from_pem(std::string id,
                                                               std::string_view pem);
  // Members of a JWK, base64url-decoded: RSA (n, e), EC P-256 (x, y), OKP Ed25519 (x).
  [[nodiscard]] static tl::expected<Key, std::string> from_rsa(std::string id, std::string_view n,
                                                               std::string_view e);
  [[nodiscard]] static tl::expected<Key, std::string> from_p256(std::string id, std::string_view x,
                                                                std::string_view y);
  [[nodiscard]] static tl::expected<Key, std::string> from_ed25519(std::string id,
                                                                   std::string_view x);

  const std::string& id() const { return id_; }
  Algorithm algorithm() const { return algorithm_; }
  bool can_sign() const { return can_sign_; }

  // Signatures as in a JWS: raw bytes; ES256 is r and s, 32 bytes each.
  [[nodiscard]] bool verify(std::string_view text, std::string_view signature) const;
  // REQUIRES: can_sign(). Empty if the library fails.
  [[nodiscard]] std::string sign(std::string_view text) const;

 private:
  Key(std::string id, Algorithm algorithm) : id_(std::move(id)), algorithm_(algorithm) {}

  std::string id_;
  Algorithm algorithm_;
  bool can_sign_ = false;
  std::string secret_;              // HS256
  std::shared_ptr<EVP_PKEY> pkey_;  // the others
};

class KeySet {
 public:
  void add(Key key) { keys_.push_back(std::move(key)); }
  // Adds the keys of a JWKS document (RFC 7517). Keys of other uses or kinds are skipped; error:
  // not JSON, or none fits.
  [[nodiscard]] tl::expected<void, std::string> add_jwks(std::string_view json);

  bool empty() const { return keys_.empty(); }
  const std::vector<Key>& keys() const { return keys_; }
  // The first key that can sign, or null.
  const Key* signer() const;

 private:
  std::vector<Key> keys_;
};

}  // namespace sluice::gateway
