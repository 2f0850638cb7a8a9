#define _GNU_SOURCE
#include "baseline.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
   int port;
   const baseline_request *requests;
   size_t count;
   double *latencies, begin, rate;
   _Atomic size_t next, refused;
   _Atomic bool failed;
} load;

static double now(void)
{
   struct timespec time;
   clock_gettime(CLOCK_MONOTONIC, &time);
   return time.tv_sec + time.tv_nsec * 1e-9;
}

/* Reads one answer; its status, or less than 0. */
static int answer(int socket, char *buffer, size_t size)
{
   size_t have = 0, wanted = 0;
   int status = -1;
   while (wanted == 0 || have < wanted) {
      if (have + 1 >= size) return -1;
      ssize_t n = recv(socket, buffer + have, size - 1 - have, 0);
      if (n <= 0) return -1;
      have += n;
      buffer[have] = 0;
      char *end = wanted == 0 ? strstr(buffer, "\r\n\r\n") : NULL;
      if (!end) continue;
      char *length = strcasestr(buffer, "\r\ncontent-length:");
      status = atoi(buffer + 9);
      wanted = end + 4 - buffer + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
   }
   return status;
}

static void *connection(void *context)
{
   load *work = context;
   struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(work->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
   size_t size = 8 << 20;
   char *buffer = malloc(size);
   int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
   setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
   if (connect(fd, (struct sockaddr *) &address, sizeof address) != 0) work->failed = true;
   while (!work->failed) {
      size_t index = atomic_fetch_add(&work->next, 1);
      if (index >= work->count) break;
      const baseline_request *request = &work->requests[index];
      double begin = now();
      if (work->rate > 0) {
         double due = work->begin + index / work->rate;
         if (due > begin) usleep((useconds_t) ((due - begin) * 1e6));
         begin = due;
      }
      for (size_t sent = 0; sent < request->length;) {
         ssize_t n = send(fd, request->bytes + sent, request->length - sent, MSG_NOSIGNAL);
         if (n <= 0) {
            work->failed = true;
            break;
         }
         sent += n;
      }
      int status = answer(fd, buffer, size);
      if (status < 0) work->failed = true;
      if (status != 304 && (status < 200 || status > 299)) atomic_fetch_add(&work->refused, 1);
      work->latencies[index] = (now() - begin) * 1e6;
   }
   close(fd);
   free(buffer);
   return NULL;
}

double baseline_load(
   int port, const baseline_request *requests, size_t count, int connections, double rate, double *latencies, size_t *refused)
{
   double begin = now();
   load work = {.port = port, .requests = requests, .count = count, .latencies = latencies, .begin = begin, .rate = rate};
   pthread_t threads[connections];
   for (int i = 0; i < connections; i++) pthread_create(&threads[i], NULL, connection, &work);
   for (int i = 0; i < connections; i++) pthread_join(threads[i], NULL);
   *refused = work.refused;
   return work.failed ? -1 : now() - begin;
}
