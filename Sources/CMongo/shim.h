#include <mongoc/mongoc.h>

/*
 * Debian builds libbson with bson_t aligned to 128 bytes, which Swift cannot honour on its stack. So a document crosses this
 * border as bytes, and every bson_t lives and dies in one of these functions.
 */

/* A document that the caller owns. Length 0: none. */
typedef struct {
   const uint8_t *data;
   size_t length;
} hs_document;

/* A document that the receiver frees with bson_free(data). */
typedef struct {
   uint8_t *data;
   uint32_t length;
} hs_reply;

static inline const bson_t *hs_bson(bson_t *bson, hs_document document)
{
   if (document.length == 0) return NULL;
   return bson_init_static(bson, document.data, document.length) ? bson : NULL;
}

static inline void hs_take(bson_t *bson, hs_reply *reply)
{
   reply->data = bson_destroy_with_steal(bson, true, &reply->length);
}

/* Majority and journal on every write; bounded, so that a set without a majority is an error and not a wait without end. */
static inline void hs_mongo_uri_set_concerns(mongoc_uri_t *uri, int64_t write_timeout_ms)
{
   mongoc_write_concern_t *write = mongoc_write_concern_new();
   mongoc_write_concern_set_wmajority(write, 0);
   mongoc_write_concern_set_wtimeout_int64(write, write_timeout_ms);
   mongoc_write_concern_set_journal(write, true);
   mongoc_uri_set_write_concern(uri, write);
   mongoc_write_concern_destroy(write);
   mongoc_read_concern_t *read = mongoc_read_concern_new();
   mongoc_read_concern_set_level(read, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
   mongoc_uri_set_read_concern(uri, read);
   mongoc_read_concern_destroy(read);
   mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
   mongoc_uri_set_read_prefs_t(uri, primary);
   mongoc_read_prefs_destroy(primary);
}

static inline bool hs_mongo_command(
   mongoc_client_t *client, const char *database, hs_document command, hs_reply *reply, bson_error_t *error)
{
   bson_t c, r;
   bool ok = mongoc_client_command_simple(client, database, hs_bson(&c, command), NULL, &r, error);
   hs_take(&r, reply);
   return ok;
}

static inline mongoc_cursor_t *hs_mongo_find(mongoc_collection_t *collection, hs_document filter, hs_document options)
{
   bson_t f, o;
   return mongoc_collection_find_with_opts(collection, hs_bson(&f, filter), hs_bson(&o, options), NULL);
}

/* `pipeline` is {"pipeline": [stages]}. */
static inline mongoc_cursor_t *hs_mongo_aggregate(mongoc_collection_t *collection, hs_document pipeline, hs_document options)
{
   bson_t p, o;
   return mongoc_collection_aggregate(collection, MONGOC_QUERY_NONE, hs_bson(&p, pipeline), hs_bson(&o, options), NULL);
}

/* The document is the cursor's, until its next call. */
static inline bool hs_mongo_cursor_next(mongoc_cursor_t *cursor, hs_document *document)
{
   const bson_t *bson;
   if (!mongoc_cursor_next(cursor, &bson)) return false;
   document->data = bson_get_data(bson);
   document->length = bson->len;
   return true;
}

/*
 * Inserts `count` documents, which lie one after the other, in no particular order. Unvalidated: our writer made them. The bulk
 * operation would read its options anew for each.
 */
static inline bool hs_mongo_insert(
   mongoc_collection_t *collection, hs_document documents, size_t count, hs_reply *reply, bson_error_t *error)
{
   bson_t *headers = aligned_alloc(128, count * sizeof(bson_t)), r;
   const bson_t **pointers = bson_malloc(count * sizeof(bson_t *));
   bson_t *options = BCON_NEW("ordered", BCON_BOOL(false), "validate", BCON_BOOL(false));
   const uint8_t *next = documents.data;
   for (size_t i = 0; i < count; i++) {
      int32_t length;
      memcpy(&length, next, sizeof length);
      length = BSON_UINT32_FROM_LE(length);
      bson_init_static(&headers[i], next, (size_t) length);
      pointers[i] = &headers[i];
      next += length;
   }
   bool ok = mongoc_collection_insert_many(collection, pointers, count, options, &r, error);
   bson_destroy(options);
   bson_free(pointers);
   free(headers);
   hs_take(&r, reply);
   return ok;
}

static inline mongoc_bulk_operation_t *hs_mongo_bulk(mongoc_collection_t *collection)
{
   bson_t *options = BCON_NEW("ordered", BCON_BOOL(false));
   mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(collection, options);
   bson_destroy(options);
   return bulk;
}

typedef enum {
   HS_INSERT, HS_UPDATE_ONE, HS_UPDATE_MANY, HS_REPLACE_ONE, HS_DELETE_ONE, HS_DELETE_MANY
} hs_write_kind;

/* The bytes are copied. Options: "validate": false, because our writer made them; "upsert". */
static inline bool hs_mongo_bulk_append(
   mongoc_bulk_operation_t *bulk, hs_write_kind kind, hs_document filter, hs_document document, hs_document options,
   bson_error_t *error)
{
   bson_t f, d, o;
   const bson_t *selector = hs_bson(&f, filter), *body = hs_bson(&d, document), *opts = hs_bson(&o, options);
   switch (kind) {
   case HS_INSERT: return mongoc_bulk_operation_insert_with_opts(bulk, body, opts, error);
   case HS_UPDATE_ONE: return mongoc_bulk_operation_update_one_with_opts(bulk, selector, body, opts, error);
   case HS_UPDATE_MANY: return mongoc_bulk_operation_update_many_with_opts(bulk, selector, body, opts, error);
   case HS_REPLACE_ONE: return mongoc_bulk_operation_replace_one_with_opts(bulk, selector, body, opts, error);
   case HS_DELETE_ONE: return mongoc_bulk_operation_remove_one_with_opts(bulk, selector, NULL, error);
   case HS_DELETE_MANY: return mongoc_bulk_operation_remove_many_with_opts(bulk, selector, NULL, error);
   }
   return false;
}

static inline bool hs_mongo_bulk_execute(mongoc_bulk_operation_t *bulk, hs_reply *reply, bson_error_t *error)
{
   bson_t r;
   uint32_t server = mongoc_bulk_operation_execute(bulk, &r, error);
   hs_take(&r, reply);
   return server != 0;
}

/* Atomic: the server finds and updates one document in one step. */
static inline bool hs_mongo_find_and_update(
   mongoc_collection_t *collection, hs_document filter, hs_document update, hs_document sort, hs_document fields,
   bool upsert, bool after, hs_reply *reply, bson_error_t *error)
{
   bson_t f, u, s, p, r;
   const bson_t *sorting = hs_bson(&s, sort), *projection = hs_bson(&p, fields);
   mongoc_find_and_modify_opts_t *options = mongoc_find_and_modify_opts_new();
   int flags = (upsert ? MONGOC_FIND_AND_MODIFY_UPSERT : 0) | (after ? MONGOC_FIND_AND_MODIFY_RETURN_NEW : 0);
   mongoc_find_and_modify_opts_set_flags(options, (mongoc_find_and_modify_flags_t) flags);
   mongoc_find_and_modify_opts_set_update(options, hs_bson(&u, update));
   if (sorting) mongoc_find_and_modify_opts_set_sort(options, sorting);
   if (projection) mongoc_find_and_modify_opts_set_fields(options, projection);
   bool ok = mongoc_collection_find_and_modify_with_opts(collection, hs_bson(&f, filter), options, &r, error);
   mongoc_find_and_modify_opts_destroy(options);
   hs_take(&r, reply);
   return ok;
}

static inline mongoc_client_session_t *hs_mongo_session(mongoc_client_t *client, bson_error_t *error)
{
   mongoc_session_opt_t *options = mongoc_session_opts_new();
   mongoc_session_opts_set_causal_consistency(options, false);
   mongoc_client_session_t *session = mongoc_client_start_session(client, options, error);
   mongoc_session_opts_destroy(options);
   return session;
}

/* A command as it stands, in a session. */
static inline bool hs_mongo_session_command(
   mongoc_client_t *client, mongoc_client_session_t *session, const char *database, hs_document command, hs_reply *reply,
   bson_error_t *error)
{
   bson_t c, r, options = BSON_INITIALIZER;
   bool ok;
   if (mongoc_client_session_append(session, &options, error)) {
      ok = mongoc_client_command_with_opts(client, database, hs_bson(&c, command), NULL, &options, &r, error);
   } else {
      bson_init(&r);
      ok = false;
   }
   bson_destroy(&options);
   hs_take(&r, reply);
   return ok;
}
