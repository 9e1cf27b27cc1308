/* bare: how fast can one process of this machine send to all? The yardstick of scripts/bench fanout.
 *
 *   bare VIEWERS PREFIX SUFFIX
 *
 * Prints {"port": P}, accepts so many viewers, and answers each with the head of an event stream. Then, for each line
 * "START_NS RATE COUNT" on stdin, COUNT comments fall due, at START_NS of CLOCK_MONOTONIC and then RATE a second; in a
 * loop all that are due are put together once and sent to one viewer after another. That is all: nothing is placed,
 * routed, stored, resumed or bounded, and one viewer who doesn't read would stop it. A comment is
 * PREFIX "c#NNNNNN @TNNN " SUFFIX. When the last is out it prints {"finished_ns": N}. Ends with stdin. */
#include "common.h"

enum { BATCH_BYTES = 1 << 20, COMMENT_BYTES_MAX = 4096 };

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

static int *viewers, viewer_count;
static const char *prefix, *suffix;

static void sleep_until(uint64_t ns) {
  struct timespec time = {.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static int listen_anywhere(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t bytes = sizeof address;
  if (bind(listener, (void *)&address, bytes) || listen(listener, 65535)) fail("listen");
  getsockname(listener, (void *)&address, &bytes);
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  return listener;
}

static void accept_viewers(int listener) {
  char request[4096];
  int one = 1;
  for (int i = 0; i < viewer_count; i++) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) fail("accept");
    if (read(fd, request, sizeof request) <= 0) fail("read");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL) < 0) fail("send");
    viewers[i] = fd;
  }
}

/* A viewer that has gone is passed over from then on. */
static void send_to_all(const char *batch, size_t bytes) {
  for (int i = 0; i < viewer_count; i++)
    if (viewers[i] >= 0 && send(viewers[i], batch, bytes, MSG_NOSIGNAL) < 0) viewers[i] = -1;
}

static void publish(uint64_t start_ns, double rate, uint64_t count) {
  static char batch[BATCH_BYTES];
  for (uint64_t next = 0; next < count;) {
    size_t bytes = 0;
    sleep_until(start_ns + (uint64_t)((double)next * 1e9 / rate));
    for (uint64_t now = now_ns(); next < count && bytes + COMMENT_BYTES_MAX < sizeof batch; next++) {
      uint64_t due_ns = start_ns + (uint64_t)((double)next * 1e9 / rate);
      if (due_ns > now) break;
      bytes += (size_t)snprintf(batch + bytes, COMMENT_BYTES_MAX, "%sc#%06llu @T%llu %s", prefix,
                                (unsigned long long)next, (unsigned long long)due_ns, suffix);
    }
    send_to_all(batch, bytes);
  }
  printf("{\"finished_ns\":%llu}\n", (unsigned long long)now_ns());
  fflush(stdout);
}

int main(int count, char **arguments) {
  if (count != 4 || strlen(arguments[2]) + strlen(arguments[3]) + 64 > COMMENT_BYTES_MAX) {
    fprintf(stderr, "usage: bare VIEWERS PREFIX SUFFIX\n");
    return 2;
  }
  viewer_count = atoi(arguments[1]);
  prefix = arguments[2], suffix = arguments[3];
  viewers = calloc((size_t)viewer_count, sizeof *viewers);
  open_files_max();
  accept_viewers(listen_anywhere());
  unsigned long long start_ns, comments;
  double rate;
  while (scanf("%llu %lf %llu", &start_ns, &rate, &comments) == 3) publish(start_ns, rate, comments);
  return 0;
}
