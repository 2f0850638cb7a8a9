#include <curl/curl.h>

/* curl_easy_setopt, curl_easy_getinfo and curl_multi_setopt are variadic, which Swift cannot call: one function per kind of argument. */
static inline CURLcode hs_curl_set_long(CURL *easy, CURLoption option, long value) { return curl_easy_setopt(easy, option, value); }
static inline CURLcode hs_curl_set_size(CURL *easy, CURLoption option, curl_off_t value) { return curl_easy_setopt(easy, option, value); }
static inline CURLcode hs_curl_set_string(CURL *easy, CURLoption option, const char *value) { return curl_easy_setopt(easy, option, value); }
static inline CURLcode hs_curl_set_pointer(CURL *easy, CURLoption option, const void *value) { return curl_easy_setopt(easy, option, value); }
static inline CURLcode hs_curl_set_list(CURL *easy, struct curl_slist *list) { return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list); }

typedef size_t (*hs_curl_sink)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode hs_curl_set_sink(CURL *easy, CURLoption option, hs_curl_sink sink) { return curl_easy_setopt(easy, option, sink); }

static inline long hs_curl_get_long(CURL *easy, CURLINFO info) {
  long value = 0;
  curl_easy_getinfo(easy, info, &value);
  return value;
}

static inline CURLMcode hs_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) { return curl_multi_setopt(multi, option, value); }

/* The result lies in a union of the message. */
static inline CURLcode hs_curl_result(const CURLMsg *message) { return message->data.result; }

/* The constants are macros with casts and shifts, which Swift does not import. */
static inline CURLcode hs_curl_global_init(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }
static const long hs_curl_http_2_over_tls = CURL_HTTP_VERSION_2TLS;
