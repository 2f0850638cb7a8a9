#include "baseline.h"

#include <emmintrin.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

/* Copies a JSON string's characters up to its quote, which `*in` is left at. Escapes but \u stand for one byte. */
static uint8_t *copy_string(const uint8_t **in, uint8_t *out)
{
   const uint8_t *p = *in;
   const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
   for (;;) {
      __m128i word = _mm_loadu_si128((const __m128i *) p);
      _mm_storeu_si128((__m128i *) out, word);
      int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(word, quote), _mm_cmpeq_epi8(word, backslash)));
      if (!found) {
         p += 16;
         out += 16;
         continue;
      }
      int n = __builtin_ctz(found);
      p += n;
      out += n;
      if (*p == '"') break;
      switch (p[1]) {
      case 'n': *out++ = '\n'; p += 2; break;
      case 'r': *out++ = '\r'; p += 2; break;
      case 't': *out++ = '\t'; p += 2; break;
      case 'u': {
         unsigned unit = 0;
         for (int i = 2; i < 6; i++) unit = unit << 4 | (p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
         p += 6;
         if (unit < 0x80) {
            *out++ = unit;
         } else if (unit < 0x800) {
            *out++ = 0xC0 | unit >> 6;
            *out++ = 0x80 | (unit & 63);
         } else {
            *out++ = 0xE0 | unit >> 12;
            *out++ = 0x80 | (unit >> 6 & 63);
            *out++ = 0x80 | (unit & 63);
         }
         break;
      }
      default: *out++ = p[1]; p += 2;
      }
   }
   *in = p;
   return out;
}

static const uint8_t *skip_string(const uint8_t *p)
{
   while (*p != '"') p += *p == '\\' ? 2 : 1;
   return p + 1;
}

size_t baseline_page(const uint8_t *json, size_t length, uint8_t *out)
{
   static const char name[] = "\"properties\":{";
   const uint8_t *p = json, *end = json + length - 16;
   uint8_t *begin = out;
   while (p < end) {
      if (*p != '"') {
         p++;
         continue;
      }
      if (memcmp(p, name, sizeof name - 1) != 0) {
         p = skip_string(p + 1);
         continue;
      }
      p += sizeof name - 1;
      uint8_t *document = out;
      out += 4;
      while (*p == '"') {
         uint8_t *type = out++;
         p++;
         out = copy_string(&p, out);
         *out++ = 0;
         p += 2; /* the quote and the colon */
         if (*p == '"') {
            uint8_t *size = out;
            *type = 2;
            p++;
            out = copy_string(&p, out + 4);
            *out++ = 0;
            p++;
            int32_t bytes = (int32_t) (out - size - 4);
            memcpy(size, &bytes, 4);
         } else {
            *type = 10;
            p += 4;
         }
         if (*p == ',') p++;
      }
      *out++ = 0;
      int32_t bytes = (int32_t) (out - document);
      memcpy(document, &bytes, 4);
   }
   return out - begin;
}

static uint8_t *quoted(const uint8_t *text, size_t length, uint8_t *out)
{
   *out++ = '"';
   for (size_t i = 0; i < length; i++) {
      uint8_t byte = text[i];
      if (byte >= 0x20 && byte != '"' && byte != '\\') {
         *out++ = byte;
         continue;
      }
      *out++ = '\\';
      switch (byte) {
      case '\n': *out++ = 'n'; break;
      case '\r': *out++ = 'r'; break;
      case '\t': *out++ = 't'; break;
      case '"':
      case '\\': *out++ = byte; break;
      default: memcpy(out, "u00", 3); out[3] = "0123456789abcdef"[byte >> 4]; out[4] = "0123456789abcdef"[byte & 15]; out += 5;
      }
   }
   *out++ = '"';
   return out;
}

static uint8_t *date(int64_t milliseconds, uint8_t *out)
{
   int64_t days = milliseconds / 86400000, rest = milliseconds % 86400000;
   int64_t shifted = days + 719468, era = shifted / 146097, of_era = shifted - era * 146097;
   int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
   int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100), m = (5 * of_year + 2) / 153;
   int64_t month = m < 10 ? m + 3 : m - 9, year = year_of_era + era * 400 + (month <= 2);
   int64_t values[] = {year / 100, year % 100, month, of_year - (153 * m + 2) / 5 + 1, rest / 3600000, rest / 60000 % 60, rest / 1000 % 60};
   static const char behind[] = {0, '-', '-', 'T', ':', ':', '.'};
   *out++ = '"';
   for (int i = 0; i < 7; i++) {
      *out++ = '0' + values[i] / 10;
      *out++ = '0' + values[i] % 10;
      if (behind[i]) *out++ = behind[i];
   }
   *out++ = '0' + rest % 1000 / 100;
   *out++ = '0' + rest % 100 / 10;
   *out++ = '0' + rest % 10;
   memcpy(out, "Z\"", 2);
   return out + 2;
}

static uint8_t *json(const uint8_t *bson, uint8_t *out, bool is_array)
{
   const uint8_t *p = bson + 4;
   bool first = true;
   *out++ = is_array ? '[' : '{';
   while (*p) {
      uint8_t type = *p++;
      const uint8_t *name = p;
      size_t length = strlen((const char *) name);
      int32_t size;
      int64_t wide;
      p += length + 1;
      if (!first) *out++ = ',';
      first = false;
      if (!is_array) {
         out = quoted(name, length, out);
         *out++ = ':';
      }
      switch (type) {
      case 2:
         memcpy(&size, p, 4);
         out = quoted(p + 4, size - 1, out);
         p += 4 + size;
         break;
      case 3:
      case 4:
         memcpy(&size, p, 4);
         out = json(p, out, type == 4);
         p += size;
         break;
      case 8:
         memcpy(out, *p ? "true" : "false", 5);
         out += *p ? 4 : 5;
         p++;
         break;
      case 9:
         memcpy(&wide, p, 8);
         out = date(wide, out);
         p += 8;
         break;
      case 1:
      case 18: memcpy(out, "0", 1); out++; p += 8; break;
      case 16: memcpy(out, "0", 1); out++; p += 4; break;
      default: memcpy(out, "null", 4); out += 4;
      }
   }
   *out++ = is_array ? ']' : '}';
   return out;
}

size_t baseline_json(const uint8_t *bson, uint8_t *out) { return json(bson, out, false) - out; }

void *baseline_hmac_key(const uint8_t *key, size_t length)
{
   OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0), OSSL_PARAM_construct_end()};
   EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
   EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
   EVP_MAC_free(mac);
   EVP_MAC_init(context, key, length, params);
   return context;
}

void baseline_hmac(void *key, const uint8_t *message, size_t length, uint8_t *tag)
{
   EVP_MAC_CTX *context = EVP_MAC_CTX_dup(key);
   size_t size;
   EVP_MAC_update(context, message, length);
   EVP_MAC_final(context, tag, &size, 32);
   EVP_MAC_CTX_free(context);
}
