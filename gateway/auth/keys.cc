#include "gateway/auth/keys.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <array>

namespace sluice::gateway {
namespace {

constexpr std::size_t kSecretBytesMin = 32;
constexpr int kRsaBitsMin = 2048;
constexpr std::size_t kP256Bytes = 32;

template <typename T, void (*Free)(T*)>
struct Freed {
  void operator()(T* pointer) const { Free(pointer); }
};
template <typename T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freed<T, Free>>;

using BioPtr = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free(bio); })>;
using MdContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using Bignum = Owned<BIGNUM, BN_free>;
using ParamBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using EcdsaSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Bignum number_of(std::string_view big_endian) {
  return Bignum(BN_bin2bn(bytes_of(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

std::shared_ptr<EVP_PKEY> share(EVP_PKEY* pkey) {
  return pkey == nullptr ? nullptr : std::shared_ptr<EVP_PKEY>(pkey, EVP_PKEY_free);
}

std::shared_ptr<EVP_PKEY> from_params(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* pkey = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) <= 0 ||
      EVP_PKEY_fromdata(context.get(), &pkey, EVP_PKEY_PUBLIC_KEY, params.get()) <= 0) {
    return nullptr;
  }
  return share(pkey);
}

bool is_p256(const EVP_PKEY* pkey) {
  std::array<char, 64> group{};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(pkey, group.data(), group.size(), &size) != 1) return false;
  const std::string_view name(group.data(), size);
  return name == "prime256v1" || name == "P-256";
}

tl::expected<Algorithm, std::string> algorithm_for(const EVP_PKEY* pkey) {
  switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
      if (EVP_PKEY_get_bits(pkey) < kRsaBitsMin) {
        return tl::unexpected(fmt::format("the RSA key has {} bits; {} are needed",
                                          EVP_PKEY_get_bits(pkey), kRsaBitsMin));
      }
      return Algorithm::kRs256;
    case EVP_PKEY_EC:
      if (!is_p256(pkey)) return tl::unexpected(std::string("the EC key is not on P-256"));
      return Algorithm::kEs256;
    case EVP_PKEY_ED25519:
      return Algorithm::kEdDsa;
    default:
      return tl::unexpected(
          std::string("keys of this kind are not supported (RSA, P-256, Ed25519)"));
  }
}

std::string hmac(const std::string& secret, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes_of(text),
           text.size(), digest.data(), &size) == nullptr) {
    return {};
  }
  return {reinterpret_cast<const char*>(digest.data()), size};
}

// r and s of a JWS as the DER that OpenSSL wants; empty if they are not 64 bytes.
std::string der_of(std::string_view raw) {
  if (raw.size() != 2 * kP256Bytes) return {};
  const EcdsaSignature signature(ECDSA_SIG_new());
  Bignum r = number_of(raw.substr(0, kP256Bytes));
  Bignum s = number_of(raw.substr(kP256Bytes));
  if (!signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();
  (void)s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return {};
  std::string text(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return text;
}

std::string raw_of(std::string_view der) {
  const unsigned char* at = bytes_of(der);
  const EcdsaSignature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!signature) return {};
  std::array<unsigned char, 2 * kP256Bytes> raw{};
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), kP256Bytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + kP256Bytes, kP256Bytes);
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

}  // namespace

std::string_view name_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kHs256:
      return "HS256";
    case Algorithm::kRs256:
      return "RS256";
    case Algorithm::kEs256:
      return "ES256";
    case Algorithm::kEdDsa:
      return "EdDSA";
  }
  return "";
}

std::optional<Algorithm> algorithm_of(std::string_view name) {
  for (const Algorithm one :
       {Algorithm::kHs256, Algorithm::kRs256, Algorithm::kEs256, Algorithm::kEdDsa}) {
    if (name_of(one) == name) return one;
  }
  return std::nullopt;
}

tl::expected<Key, std::string> Key::from_secret(std::string id, std::string secret) {
  if (secret.size() < kSecretBytesMin) {
    return tl::unexpected(fmt::format("the HS256 secret has {} bytes; at least {} are needed",
                                      secret.size(), kSecretBytesMin));
  }
  Key key(std::move(id), Algorithm::kHs256);
  key.secret_ = std::move(secret);
  key.can_sign_ = true;
  return key;
}

tl::expected<Key, std::string> Key::from_pem(std::string id, std::string_view pem) {
  const auto open = [&] {
    return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  };
  // No prompt for a pass phrase: an encrypted key is refused.
  const auto no_phrase = [](char*, int, int, void*) { return -1; };
  bool can_sign = true;
  auto pkey = share(PEM_read_bio_PrivateKey(open().get(), nullptr, no_phrase, nullptr));
  if (!pkey) {
    can_sign = false;
    pkey = share(PEM_read_bio_PUBKEY(open().get(), nullptr, no_phrase, nullptr));
  }
  if (!pkey)
    return tl::unexpected(std::string("not a PEM with a public or unencrypted private key"));
  const auto algorithm = algorithm_for(pkey.get());
  if (!algorithm) return tl::unexpected(algorithm.error());
  Key key(std::move(id), *algorithm);
  key.pkey_ = std::move(pkey);
  key.can_sign_ = can_sign;
  return key;
}

tl::expected<Key, std::string> Key::from_rsa(std::string id, std::string_view n,
                                             std::string_view e) {
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  const Bignum modulus = number_of(n);
  const Bignum exponent = number_of(e);
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  auto pkey = from_params("RSA", builder.get());
  if (!pkey) return tl::unexpected(std::string("not an RSA public key"));
  const auto algorithm = algorithm_for(pkey.get());
  if (!algorithm) return tl::unexpected(algorithm.error());
  Key key(std::move(id), *algorithm);
  key.pkey_ = std::move(pkey);
  return key;
}

tl::expected<Key, std::string> Key::from_p256(std::string id, std::string_view x,
                                              std::string_view y) {
  if (x.size() != kP256Bytes || y.size() != kP256Bytes) {
    return tl::unexpected(std::string("the coordinates of a P-256 key have 32 bytes each"));
  }
  std::string point("\x04");
  point.append(x).append(y);
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  auto pkey = from_params("EC", builder.get());
  if (!pkey) return tl::unexpected(std::string("not a point on P-256"));
  Key key(std::move(id), Algorithm::kEs256);
  key.pkey_ = std::move(pkey);
  return key;
}

tl::expected<Key, std::string> Key::from_ed25519(std::string id, std::string_view x) {
  auto pkey = share(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size()));
  if (!pkey) return tl::unexpected(std::string("not an Ed25519 public key"));
  Key key(std::move(id), Algorithm::kEdDsa);
  key.pkey_ = std::move(pkey);
  return key;
}

bool Key::verify(std::string_view text, std::string_view signature) const {
  if (algorithm_ == Algorithm::kHs256) {
    const std::string expected = hmac(secret_, text);
    return !expected.empty() && expected.size() == signature.size() &&
           CRYPTO_memcmp(expected.data(), signature.data(), expected.size()) == 0;
  }
  std::string der;
  if (algorithm_ == Algorithm::kEs256) {
    der = der_of(signature);
    if (der.empty()) return false;
    signature = der;
  }
  const MdContext context(EVP_MD_CTX_new());
  const EVP_MD* digest = algorithm_ == Algorithm::kEdDsa ? nullptr : EVP_sha256();
  return context &&
         EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, pkey_.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(text),
                          text.size()) == 1;
}

std::string Key::sign(std::string_view text) const {
  if (algorithm_ == Algorithm::kHs256) return hmac(secret_, text);
  const MdContext context(EVP_MD_CTX_new());
  const EVP_MD* digest = algorithm_ == Algorithm::kEdDsa ? nullptr : EVP_sha256();
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, pkey_.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes_of(text), text.size()) != 1) {
    return {};
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     bytes_of(text), text.size()) != 1) {
    return {};
  }
  signature.resize(size);
  return algorithm_ == Algorithm::kEs256 ? raw_of(signature) : signature;
}

const Key* KeySet::signer() const {
  for (const Key& key : keys_) {
    if (key.can_sign()) return &key;
  }
  return nullptr;
}

}  // namespace sluice::gateway
