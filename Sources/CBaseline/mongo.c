#include "baseline.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <time.h>

typedef struct job job;
struct job {
   bool (*run)(mongoc_collection_t *, job *);
   mongoc_client_pool_t *pool;
   const char *database, *collection, *sort;
   const bson_t **documents; /* with room for one more at the end */
   size_t count, batch;
   int limit;
   bool upsert, ok;
};

static double now(void)
{
   struct timespec time;
   clock_gettime(CLOCK_MONOTONIC, &time);
   return time.tv_sec + time.tv_nsec * 1e-9;
}

static void *thread(void *context)
{
   job *work = context;
   mongoc_client_t *client = mongoc_client_pool_pop(work->pool);
   mongoc_collection_t *collection = mongoc_client_get_collection(client, work->database, work->collection);
   work->ok = work->run(collection, work);
   mongoc_collection_destroy(collection);
   mongoc_client_pool_push(work->pool, client);
   return NULL;
}

/* Splits the documents among the threads and waits for all. */
static double run(const char *uri, job template, const uint8_t *documents, size_t count, int threads)
{
   mongoc_init();
   mongoc_uri_t *parsed = mongoc_uri_new(uri);
   mongoc_write_concern_t *concern = mongoc_write_concern_new();
   mongoc_write_concern_set_wmajority(concern, 0);
   mongoc_write_concern_set_journal(concern, true);
   mongoc_uri_set_write_concern(parsed, concern);
   mongoc_write_concern_destroy(concern);
   template.pool = mongoc_client_pool_new(parsed);
   template.database = mongoc_uri_get_database(parsed);

   bson_t *headers = NULL;
   const bson_t **pointers = NULL;
   if (documents) {
      headers = aligned_alloc(128, count * sizeof(bson_t));
      pointers = malloc(count * sizeof(bson_t *));
      for (size_t i = 0; i < count; i++) {
         int32_t length;
         memcpy(&length, documents, 4);
         bson_init_static(&headers[i], documents, length);
         pointers[i] = &headers[i];
         documents += length;
      }
   }
   job jobs[threads];
   pthread_t ids[threads];
   double begin = now();
   for (int i = 0; i < threads; i++) {
      size_t from = count * i / threads;
      jobs[i] = template;
      jobs[i].documents = pointers ? pointers + from : NULL;
      jobs[i].count = count * (i + 1) / threads - from;
      pthread_create(&ids[i], NULL, thread, &jobs[i]);
   }
   bool ok = true;
   for (int i = 0; i < threads; i++) {
      pthread_join(ids[i], NULL);
      ok = ok && jobs[i].ok;
   }
   double seconds = now() - begin;
   free(pointers);
   free(headers);
   mongoc_client_pool_destroy(template.pool);
   mongoc_uri_destroy(parsed);
   return ok ? seconds : -1;
}

static bool insert(mongoc_collection_t *collection, job *work)
{
   bson_t *options = BCON_NEW("ordered", BCON_BOOL(false), "validate", BCON_BOOL(false));
   bool ok = true;
   for (size_t i = 0; ok && i < work->count; i += work->batch) {
      size_t n = work->count - i < work->batch ? work->count - i : work->batch;
      bson_error_t error;
      ok = mongoc_collection_insert_many(collection, work->documents + i, n, options, NULL, &error);
      if (!ok) fprintf(stderr, "%s\n", error.message);
   }
   bson_destroy(options);
   return ok;
}

/* Changes every document: MongoDB passes over a `$set` of what is there already. */
static bool update(mongoc_collection_t *collection, job *work)
{
   struct timespec time;
   clock_gettime(CLOCK_REALTIME, &time);
   int64_t milliseconds = time.tv_sec * 1000 + time.tv_nsec / 1000000;
   bson_t *unordered = BCON_NEW("ordered", BCON_BOOL(false));
   bson_t *options = BCON_NEW("validate", BCON_BOOL(false), "upsert", BCON_BOOL(work->upsert));
   bool ok = true;
   for (size_t i = 0; ok && i < work->count; i += work->batch) {
      mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(collection, unordered);
      for (size_t k = i; k < work->count && k < i + work->batch; k++) {
         bson_iter_t id;
         bson_t selector = BSON_INITIALIZER, change = BSON_INITIALIZER, set;
         bson_iter_init_find(&id, work->documents[k], "_id");
         bson_append_iter(&selector, "_id", 3, &id);
         bson_append_document_begin(&change, "$set", 4, &set);
         bson_copy_to_excluding_noinit(work->documents[k], &set, "_id", "lastSyncedAt", work->upsert ? NULL : "hubspotUpdatedAt", NULL);
         bson_append_date_time(&set, "lastSyncedAt", -1, milliseconds);
         if (!work->upsert) bson_append_date_time(&set, "hubspotUpdatedAt", -1, milliseconds);
         bson_append_document_end(&change, &set);
         mongoc_bulk_operation_update_one_with_opts(bulk, &selector, &change, options, NULL);
         bson_destroy(&selector);
         bson_destroy(&change);
      }
      bson_error_t error;
      ok = mongoc_bulk_operation_execute(bulk, NULL, &error) != 0;
      if (!ok) fprintf(stderr, "%s\n", error.message);
      mongoc_bulk_operation_destroy(bulk);
   }
   bson_destroy(options);
   bson_destroy(unordered);
   return ok;
}

static bool drain(mongoc_cursor_t *cursor)
{
   const bson_t *document;
   while (mongoc_cursor_next(cursor, &document)) {}
   bool ok = !mongoc_cursor_error(cursor, NULL);
   mongoc_cursor_destroy(cursor);
   return ok;
}

static bool versions(mongoc_collection_t *collection, job *work)
{
   bson_t *options = BCON_NEW(
      "projection", "{", "hubspotUpdatedAt", BCON_INT32(1), "archived", BCON_INT32(1), "lastSyncedAt", BCON_INT32(1), "contentHash",
      BCON_INT32(1), "}", "batchSize", BCON_INT32((int32_t) work->batch));
   bool ok = true;
   for (size_t i = 0; ok && i < work->count; i += work->batch) {
      bson_t filter = BSON_INITIALIZER, inner, ids;
      bson_append_document_begin(&filter, "_id", 3, &inner);
      bson_append_array_begin(&inner, "$in", 3, &ids);
      for (size_t k = i; k < work->count && k < i + work->batch; k++) {
         char text[16];
         const char *key;
         bson_iter_t id;
         size_t length = bson_uint32_to_string((uint32_t) (k - i), &key, text, sizeof text);
         bson_iter_init_find(&id, work->documents[k], "_id");
         bson_append_iter(&ids, key, (int) length, &id);
      }
      bson_append_array_end(&inner, &ids);
      bson_append_document_end(&filter, &inner);
      ok = drain(mongoc_collection_find_with_opts(collection, &filter, options, NULL));
      bson_destroy(&filter);
   }
   bson_destroy(options);
   return ok;
}

static bool find(mongoc_collection_t *collection, job *work)
{
   bson_t *filter = BCON_NEW("archived", BCON_BOOL(false));
   bson_t *options = BCON_NEW(
      "sort", "{", work->sort, BCON_INT32(-1), "_id", BCON_INT32(-1), "}", "limit", BCON_INT64(work->limit), "batchSize",
      BCON_INT32(work->limit + 1));
   bool ok = true;
   for (size_t i = 0; ok && i < work->count; i++) ok = drain(mongoc_collection_find_with_opts(collection, filter, options, NULL));
   bson_destroy(filter);
   bson_destroy(options);
   return ok;
}

double baseline_insert(const char *uri, const char *collection, const uint8_t *documents, size_t count, size_t batch, int threads)
{
   return run(uri, (job){.run = insert, .collection = collection, .batch = batch}, documents, count, threads);
}

double baseline_update(const char *uri, const char *collection, const uint8_t *documents, size_t count, size_t batch, bool upsert)
{
   return run(uri, (job){.run = update, .collection = collection, .batch = batch, .upsert = upsert}, documents, count, 1);
}

double baseline_versions(const char *uri, const char *collection, const uint8_t *documents, size_t count, size_t batch)
{
   return run(uri, (job){.run = versions, .collection = collection, .batch = batch}, documents, count, 1);
}

double baseline_find(const char *uri, const char *collection, const char *sort, int limit, size_t count, int threads)
{
   return run(uri, (job){.run = find, .collection = collection, .sort = sort, .limit = limit}, NULL, count, threads);
}
