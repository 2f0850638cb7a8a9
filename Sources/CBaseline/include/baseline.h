/* What cannot be avoided, and nothing else: programs beside which the service is measured. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- Bytes */

/* The `properties` of every record of a page as BSON documents, one after the other. `out` has room for twice the page. */
size_t baseline_page(const uint8_t *json, size_t length, uint8_t *out);
/* A document of strings, nulls, booleans, dates and documents as JSON. `out` has room for six times the document. */
size_t baseline_json(const uint8_t *bson, uint8_t *out);
/* HMAC-SHA256 of a message with a key that was prepared before. */
void *baseline_hmac_key(const uint8_t *key, size_t length);
void baseline_hmac(void *key, const uint8_t *message, size_t length, uint8_t *tag);

/* --- MongoDB: wall seconds, or less than 0 when something failed. Writes are majority and journaled. Documents lie one after the other. */

/* All documents, `batch` in a message; `threads` connections, each with its share. */
double baseline_insert(const char *uri, const char *collection, const uint8_t *documents, size_t count, size_t batch, int threads);
/* `$set` of every member but `_id`, by `_id`, with another `lastSyncedAt`; unless it upserts, with another `hubspotUpdatedAt` too. */
double baseline_update(const char *uri, const char *collection, const uint8_t *documents, size_t count, size_t batch, bool upsert);
/* `_id` and four small members of all documents, by `_id`, `batch` at a time. */
double baseline_versions(const char *uri, const char *collection, const uint8_t *documents, size_t count, size_t batch);
/* The first `limit` documents by `sort`, `count` times. */
double baseline_find(const char *uri, const char *collection, const char *sort, int limit, size_t count, int threads);

/* --- HTTP */

/* Reads a list page by page through one connection, each page unpacked and read by `baseline_page`: the processor seconds of it, or less than 0. */
double baseline_walk(const char *url, const char *token, size_t *records);

typedef struct {
   const uint8_t *bytes;
   size_t length;
} baseline_request;

/*
 * Sends `count` whole requests to 127.0.0.1 over `connections` connections, each waiting for its answer; `rate` of them a second, each
 * timed from when it was due, or as many as there can be for 0. Writes the microseconds of each to `latencies`; gives wall seconds, or less than 0. `refused` counts answers that are neither 2xx nor 304.
 */
double baseline_load(
   int port, const baseline_request *requests, size_t count, int connections, double rate, double *latencies, size_t *refused);
