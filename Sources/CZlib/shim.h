#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

/* Room for the gzip of so many bytes, whatever they are. */
static inline size_t hs_gzip_room(size_t length) { return compressBound(length) + 32; }

/* Packs bytes as gzip (RFC 1952), quickly rather than well: the length, or 0 without memory. */
static inline size_t hs_gzip(const uint8_t *bytes, size_t length, uint8_t *target, size_t room)
{
   z_stream stream = {.next_in = (Bytef *) bytes, .avail_in = (uInt) length, .next_out = target, .avail_out = (uInt) room};
   if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
   bool ended = deflate(&stream, Z_FINISH) == Z_STREAM_END;
   deflateEnd(&stream);
   return ended ? stream.total_out : 0;
}
