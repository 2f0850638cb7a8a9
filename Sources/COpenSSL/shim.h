#include <openssl/evp.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/core_names.h>
#include <openssl/rand.h>

/* The digest is named by an OSSL_PARAM array of mutable C strings, which Swift cannot build without copies that it has to
   keep alive. Returns a keyed HMAC-SHA256 to duplicate for each message, or NULL when OpenSSL refuses. */
static inline EVP_MAC_CTX *hs_hmac_sha256_new(const unsigned char *key, size_t length) {
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac); /* the context has a reference of its own */
    if (context != NULL && EVP_MAC_init(context, key, length, params) != 1) {
        EVP_MAC_CTX_free(context);
        return NULL;
    }
    return context;
}
