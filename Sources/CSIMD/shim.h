#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Swift compares its vectors byte by byte; Clang's extension has one instruction for sixteen, on every processor. */
typedef uint8_t hs_block __attribute__((vector_size(16)));

/* One bit for each byte of sixteen, the first byte's lowest. */
static inline uint32_t hs_bits(hs_block flags) {
    typedef bool booleans __attribute__((ext_vector_type(16)));
    booleans packed = __builtin_convertvector(flags, booleans);
    uint16_t bits;
    memcpy(&bits, &packed, sizeof bits);
    return bits;
}

/* Which of sixteen bytes do not stand for themselves in a JSON string: quotes, backslashes and control characters. */
static inline uint32_t hs_special_bits(const void *text) {
    hs_block bytes;
    memcpy(&bytes, text, sizeof bytes);
    return hs_bits((hs_block) (bytes == '"') | (hs_block) (bytes == '\\') | (hs_block) (bytes < 0x20));
}

/* Which of sixteen bytes are not ASCII. */
static inline uint32_t hs_high_bits(const void *text) {
    hs_block bytes;
    memcpy(&bytes, text, sizeof bytes);
    return hs_bits((hs_block) (bytes >= 0x80));
}

/* Which of sixteen bytes are zero. */
static inline uint32_t hs_zero_bits(const void *text) {
    hs_block bytes;
    memcpy(&bytes, text, sizeof bytes);
    return hs_bits((hs_block) (bytes == 0));
}

/* In which of sixteen bytes two texts differ. */
static inline uint32_t hs_different_bits(const void *text, const void *other) {
    hs_block bytes, others;
    memcpy(&bytes, text, sizeof bytes);
    memcpy(&others, other, sizeof others);
    return hs_bits((hs_block) (bytes != others));
}
