// Tokens: each algorithm signs and checks; everything that must be refused is.
#include "gateway/auth/token.hpp"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <random>

#include "gateway/auth/base64.hpp"

namespace sluice::gateway {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;
const std::string kSecret(32, 's');

struct Pem {
  std::string secret;
  std::string open;
};

Pem pem_of(EVP_PKEY* pkey) {
  const auto write = [&](auto&& writer) {
    BIO* bio = BIO_new(BIO_s_mem());
    writer(bio);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
  };
  Pem pem{write([&](BIO* bio) {
            PEM_write_bio_PrivateKey(bio, pkey, nullptr, nullptr, 0, nullptr, nullptr);
          }),
          write([&](BIO* bio) { PEM_write_bio_PUBKEY(bio, pkey); })};
  EVP_PKEY_free(pkey);
  return pem;
}

const Pem& rsa() {
  static const Pem pem = pem_of(EVP_RSA_gen(2048));
  return pem;
}
const Pem& p256() {
  static const Pem pem = pem_of(EVP_EC_gen("P-256"));
  return pem;
}
const Pem& ed25519() {
  static const Pem pem = pem_of(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  return pem;
}

std::string token_of(const Key& key, std::int64_t ttl_s = 60) {
  return make_token(key, {.tenant = "acme",
                          .client = "alice",
                          .scope = "client publish:asks",
                          .now_s = kNow,
                          .ttl_s = ttl_s});
}

KeySet set_of(Key key) {
  KeySet keys;
  keys.add(std::move(key));
  return keys;
}

std::string hand_made(std::string_view header, std::string_view claims, const std::string& secret) {
  const std::string text = base64url_encode(header) + "." + base64url_encode(claims);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return text + "." + base64url_encode({reinterpret_cast<char*>(digest), size});
}

TEST(Tokens, EachAlgorithmSignsWithThePrivateAndChecksWithThePublicKey) {
  const struct {
    Key signer, checker;
    Algorithm algorithm;
  } rows[] = {
      {*Key::from_secret("", kSecret), *Key::from_secret("", kSecret), Algorithm::kHs256},
      {*Key::from_pem("", rsa().secret), *Key::from_pem("", rsa().open), Algorithm::kRs256},
      {*Key::from_pem("", p256().secret), *Key::from_pem("", p256().open), Algorithm::kEs256},
      {*Key::from_pem("", ed25519().secret), *Key::from_pem("", ed25519().open), Algorithm::kEdDsa},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(row.checker.algorithm(), row.algorithm);
    const std::string token = token_of(row.signer);
    const auto principal = verify_token(set_of(row.checker), token, kNow);
    ASSERT_TRUE(principal.has_value()) << principal.error().message;
    EXPECT_EQ(principal->tenant, "acme");
    EXPECT_EQ(principal->client, "alice");
    EXPECT_TRUE(principal->is_client);
    EXPECT_TRUE(principal->may_publish("asks"));
    EXPECT_FALSE(principal->may_publish("other"));
    // Any other key refuses it.
    for (const auto& other : rows) {
      if (other.algorithm != row.algorithm) {
        EXPECT_FALSE(verify_token(set_of(other.checker), token, kNow).has_value());
      }
    }
  }
}

TEST(Tokens, AnHs256TokenSignedWithThePublicKeyIsRefused) {
  const KeySet keys = set_of(*Key::from_pem("", rsa().open));
  const std::string claims = R"({"tenant":"*","scope":"admin","exp":1800000060})";
  EXPECT_FALSE(
      verify_token(keys, hand_made(R"({"alg":"HS256"})", claims, rsa().open), kNow).has_value());
  // The same token is good where that text really is an HS256 secret: the signature was not the
  // reason.
  EXPECT_TRUE(verify_token(set_of(*Key::from_secret("", rsa().open)),
                           hand_made(R"({"alg":"HS256"})", claims, rsa().open), kNow)
                  .has_value());
}

TEST(Tokens, WhatMustBeRefusedIs) {
  const KeySet keys = set_of(*Key::from_secret("k1", kSecret));
  const std::string good = R"({"tenant":"t","sub":"c","scope":"client","exp":1800000060})";
  ASSERT_TRUE(verify_token(keys, hand_made(R"({"alg":"HS256"})", good, kSecret), kNow).has_value());
  const struct {
    const char* name;
    std::string token;
  } rows[] = {
      {"empty", ""},
      {"no parts", "abc"},
      {"two parts", "abc.def"},
      {"four parts", hand_made(R"({"alg":"HS256"})", good, kSecret) + ".x"},
      {"alg none", base64url_encode(R"({"alg":"none"})") + "." + base64url_encode(good) + "."},
      {"alg HS512", hand_made(R"({"alg":"HS512"})", good, kSecret)},
      {"alg missing", hand_made(R"({"typ":"JWT"})", good, kSecret)},
      {"crit", hand_made(R"({"alg":"HS256","crit":["x"]})", good, kSecret)},
      {"another kid", hand_made(R"({"alg":"HS256","kid":"k2"})", good, kSecret)},
      {"another secret", hand_made(R"({"alg":"HS256"})", good, std::string(32, 'x'))},
      {"header no JSON", hand_made("{", good, kSecret)},
      {"header with duplicate alg", hand_made(R"({"alg":"none","alg":"HS256"})", good, kSecret)},
      {"claims no JSON", hand_made(R"({"alg":"HS256"})", "{", kSecret)},
      {"no exp", hand_made(R"({"alg":"HS256"})", R"({"tenant":"t","scope":"client"})", kSecret)},
      {"exp as text",
       hand_made(R"({"alg":"HS256"})", R"({"tenant":"t","exp":"1800000060"})", kSecret)},
      {"exp absurd", hand_made(R"({"alg":"HS256"})", R"({"tenant":"t","exp":1e300})", kSecret)},
      {"no tenant", hand_made(R"({"alg":"HS256"})", R"({"exp":1800000060})", kSecret)},
      {"a client without sub",
       hand_made(R"({"alg":"HS256"})", R"({"tenant":"t","scope":"client","exp":1800000060})",
                 kSecret)},
      {"a client with an empty sub",
       hand_made(R"({"alg":"HS256"})",
                 R"({"tenant":"t","sub":"","scope":"admin client","exp":1800000060})", kSecret)},
      {"not yet valid", hand_made(R"({"alg":"HS256"})",
                                  R"({"tenant":"t","exp":1800000060,"nbf":1800000020})", kSecret)},
  };
  for (const auto& row : rows)
    EXPECT_FALSE(verify_token(keys, row.token, kNow).has_value()) << row.name;
  const auto nobody =
      verify_token(keys,
                   hand_made(R"({"alg":"HS256"})",
                             R"({"tenant":"t","scope":"client","exp":1800000060})", kSecret),
                   kNow);
  EXPECT_NE(nobody.error().message.find("`sub`"), std::string::npos) << nobody.error().message;
}

TEST(Tokens, ExpiryHasALeewayOfFiveSeconds) {
  const Key key = *Key::from_secret("", kSecret);
  const std::string token = token_of(key, 60);
  EXPECT_TRUE(verify_token(set_of(key), token, kNow + 65).has_value());
  const auto late = verify_token(set_of(key), token, kNow + 66);
  ASSERT_FALSE(late.has_value());
  EXPECT_TRUE(late.error().expired);
}

TEST(Tokens, NoChangedTokenPasses) {
  const Key key = *Key::from_secret("", kSecret);
  const KeySet keys = set_of(key);
  const std::string token = token_of(key);
  std::mt19937 random(5);
  const std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
  for (int round = 0; round < 20000; ++round) {
    std::string changed = token;
    changed[random() % changed.size()] = alphabet[random() % alphabet.size()];
    if (changed != token) {
      EXPECT_FALSE(verify_token(keys, changed, kNow).has_value()) << changed;
    }
  }
}

TEST(Tokens, WeakKeysAreRefused) {
  EXPECT_FALSE(Key::from_secret("", std::string(31, 's')).has_value());
  EXPECT_FALSE(Key::from_pem("", "nonsense").has_value());
  EXPECT_FALSE(Key::from_pem("", pem_of(EVP_RSA_gen(1024)).open).has_value());
  EXPECT_FALSE(Key::from_pem("", pem_of(EVP_EC_gen("P-384")).open).has_value());
}

TEST(Tokens, JwksKeysOfEachKindCheck) {
  // The example keys of RFC 7515 (RSA, P-256) and RFC 8037 (Ed25519) in form; an unknown kind is
  // passed over.
  KeySet keys;
  const std::string secret = base64url_encode(kSecret);
  ASSERT_TRUE(keys.add_jwks(R"({"keys":[{"kty":"oct","kid":"h","k":")" + secret +
                            R"("},{"kty":"EC","crv":"P-521","x":"AA","y":"AA"},)"
                            R"({"kty":"OKP","crv":"Ed25519","kid":"e",)"
                            R"("x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},)"
                            R"({"kty":"EC","crv":"P-256",)"
                            R"("x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
                            R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},)"
                            R"({"kty":"oct","use":"enc","k":")" +
                            secret + R"("}]})")
                  .has_value());
  ASSERT_EQ(keys.keys().size(), 3u);
  EXPECT_EQ(keys.keys()[1].algorithm(), Algorithm::kEdDsa);
  EXPECT_EQ(keys.keys()[2].algorithm(), Algorithm::kEs256);
  // The token of RFC 7515, A.3, with its own claims: the signature holds.
  const std::string text =
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
      "fQ";
  const auto signature = base64url_decode(
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  EXPECT_TRUE(keys.keys()[2].verify(text, *signature));
  EXPECT_FALSE(keys.keys()[2].verify(text + "x", *signature));
  EXPECT_TRUE(verify_token(keys, token_of(*Key::from_secret("h", kSecret)), kNow).has_value());
  KeySet none;
  EXPECT_FALSE(none.add_jwks(R"({"keys":[]})").has_value());
  EXPECT_FALSE(none.add_jwks("[").has_value());
}

TEST(Tokens, TheCacheForgetsWhatHasExpired) {
  const Key key = *Key::from_secret("", kSecret);
  const KeySet keys = set_of(key);
  TokenCache cache(keys, 2);
  const std::string token = token_of(key, 60);
  const auto first = cache.verify(token, kNow);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(cache.verify(token, kNow)->get(), first->get());
  EXPECT_FALSE(cache.verify(token, kNow + 100).has_value());
  EXPECT_TRUE(cache.verify(token_of(key, 61), kNow).has_value());
  EXPECT_TRUE(cache.verify(token_of(key, 62), kNow).has_value());
  EXPECT_TRUE(cache.verify(token_of(key, 63), kNow).has_value());
  EXPECT_TRUE(cache.verify(token_of(key, 61), kNow).has_value());
}

TEST(Tokens, Base64UrlHasOneFormPerValue) {
  std::mt19937 random(9);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
  }
  for (const char* bad : {"A", "AB=", "AB==", "A+", "AA/", "AB", "AAB"}) {
    if (std::string_view(bad) == "AB" || std::string_view(bad) == "AAB") continue;  // below
    EXPECT_FALSE(base64url_decode(bad).has_value()) << bad;
  }
  EXPECT_FALSE(base64url_decode("AB").has_value());  // bits behind the end
  EXPECT_FALSE(base64url_decode("AAB").has_value());
}

}  // namespace
}  // namespace sluice::gateway
