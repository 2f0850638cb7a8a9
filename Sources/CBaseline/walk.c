#define _GNU_SOURCE
#include "baseline.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct {
   uint8_t *bytes;
   size_t length, room;
} body;

static size_t receive(char *data, size_t size, size_t count, void *context)
{
   body *answer = context;
   size_t length = size * count;
   if (answer->length + length + 32 > answer->room) { /* the scanner reads whole words */
      answer->room = (answer->length + length) * 2 + 32;
      answer->bytes = realloc(answer->bytes, answer->room);
   }
   memcpy(answer->bytes + answer->length, data, length);
   answer->length += length;
   return length;
}

static double used(void)
{
   struct rusage usage;
   getrusage(RUSAGE_THREAD, &usage);
   return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

double baseline_walk(const char *url, const char *token, size_t *records)
{
   static const char name[] = "\"after\":\"";
   double begin = used();
   char address[65536], bearer[1024], after[256] = "", *found;
   body answer = {0};
   uint8_t *out = NULL;
   size_t room = 0;
   bool ok = true;
   CURL *easy = curl_easy_init();
   snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", token);
   struct curl_slist *headers = curl_slist_append(NULL, bearer);
   curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
   curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 262144L);
   curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
   curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
   curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
   *records = 0;
   do {
      long status = 0;
      snprintf(address, sizeof address, "%s%s%s", url, *after ? "&after=" : "", after);
      curl_easy_setopt(easy, CURLOPT_URL, address);
      answer.length = 0;
      ok = curl_easy_perform(easy) == CURLE_OK && curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200;
      if (!ok) break;
      if (room < answer.length * 2) out = realloc(out, room = answer.length * 2);
      size_t length = baseline_page(answer.bytes, answer.length, out);
      for (size_t at = 0; at < length; ++*records) {
         int32_t size;
         memcpy(&size, out + at, 4);
         at += size;
      }
      size_t tail = answer.length < 8192 ? answer.length : 8192; /* a link with all names of properties stands behind it */
      found = memmem(answer.bytes + answer.length - tail, tail, name, sizeof name - 1);
      if (found) {
         answer.bytes[answer.length] = 0;
         sscanf(found + sizeof name - 1, "%255[^\"]", after);
      }
   } while (found);
   curl_slist_free_all(headers);
   curl_easy_cleanup(easy);
   free(answer.bytes);
   free(out);
   return ok ? used() - begin : -1;
}
