/* asker: asks one HTTP/1.1 server as fast as it answers, over keep-alive connections, and costs little CPU itself.
 *
 *   asker PORT CONNECTIONS WARM_MS MS REQUEST TURNS
 *
 * REQUEST is sent as it is; twelve '#' in it become the number of the request, so that no two are alike, and six '@'
 * that number modulo TURNS. A connection's next request goes when its answer is whole (Content-Length says so). Prints {"warm": true} after WARM_MS,
 * when counting begins, and after MS more one line of JSON: requests answered, how many of them not with 200 or 304 or by
 * the connection's end, the seconds counted, this process's own CPU seconds in them, and latencies. */
#include "common.h"

#include <sys/epoll.h>

enum { HEAD_BYTES_MAX = 4096, READ_BYTES = 1 << 18, EVENTS = 256, NUMBER_DIGITS = 12, TURN_DIGITS = 6 };

struct connection {
  int fd;
  uint64_t sent_ns;
  size_t head_bytes, body_left;
  bool in_body;
  char head[HEAD_BYTES_MAX];
};

static char *request, *number_at, *turn_at;
static uint64_t turns;
static size_t request_bytes;
static uint64_t asked;

static bool counting;
static uint64_t failed;
static uint32_t *latencies_us;
static size_t answered, latencies_max;

static void count(uint64_t latency_ns, bool is_right) {
  if (!counting) return;
  if (answered == latencies_max) {
    latencies_max = latencies_max ? 2 * latencies_max : 1 << 16;
    latencies_us = realloc(latencies_us, latencies_max * sizeof *latencies_us);
    if (!latencies_us) fail("memory");
  }
  latencies_us[answered++] = (uint32_t)(latency_ns / 1000);
  failed += !is_right;
}

static void write_digits(char *at, int count, uint64_t number) {
  for (; at && count; number /= 10) at[--count] = (char)('0' + number % 10);
}

static void ask(struct connection *connection) {
  write_digits(number_at, NUMBER_DIGITS, asked);
  write_digits(turn_at, TURN_DIGITS, asked % turns);
  asked++;
  connection->sent_ns = now_ns();
  connection->head_bytes = 0;
  connection->in_body = false;
  if (send(connection->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes) fail("send");
}

/* Takes a part of an answer; true: the answer is whole. */
static bool take(struct connection *connection, const char *data, size_t bytes) {
  if (!connection->in_body) {
    size_t room = HEAD_BYTES_MAX - 1 - connection->head_bytes, some = bytes < room ? bytes : room;
    memcpy(connection->head + connection->head_bytes, data, some);
    connection->head[connection->head_bytes + some] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    if (!end) {
      connection->head_bytes += some;
      if (some == room) fail("the head is too long");
      return false;
    }
    size_t head_rest = (size_t)(end + 4 - connection->head) - connection->head_bytes;
    *end = 0;
    char *length = strcasestr(connection->head, "\r\ncontent-length:");
    connection->body_left = length ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    connection->in_body = true;
    bytes -= head_rest;
  }
  if (bytes > connection->body_left) fail("more than was asked for");
  connection->body_left -= bytes;
  return !connection->body_left;
}

static bool is_right(const struct connection *connection) {
  return !strncmp(connection->head + 9, "200", 3) || !strncmp(connection->head + 9, "304", 3);
}

/* Returns whether the connection goes on. */
static bool hear(struct connection *connection, char *buffer) {
  ssize_t bytes = recv(connection->fd, buffer, READ_BYTES, 0);
  if (bytes <= 0) {
    count(now_ns() - connection->sent_ns, false);
    close(connection->fd);
    return false;
  }
  if (take(connection, buffer, (size_t)bytes)) {
    count(now_ns() - connection->sent_ns, is_right(connection));
    ask(connection);
  }
  return true;
}

static int connect_to(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || connect(fd, (void *)&address, sizeof address)) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return fd;
}

/* Until the time, or until no connection is left */
static void run_until(uint64_t end_ns, int epoll, size_t *open) {
  static char buffer[READ_BYTES];
  struct epoll_event events[EVENTS];
  for (uint64_t now; *open && (now = now_ns()) < end_ns;) {
    int ready = epoll_wait(epoll, events, EVENTS, (int)((end_ns - now) / 1000000) + 1);
    for (int i = 0; i < ready; i++) *open -= !hear(events[i].data.ptr, buffer);
  }
}

static int ascending(const void *one, const void *other) {
  uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
  return (a > b) - (a < b);
}

static double share_ms(double share) {
  return answered ? latencies_us[(size_t)((double)(answered - 1) * share)] / 1e3 : 0;
}

int main(int argc, char **argv) {
  if (argc != 7 || !(turns = strtoul(argv[6], NULL, 10))) {
    fprintf(stderr, "usage: asker PORT CONNECTIONS WARM_MS MS REQUEST TURNS\n");
    return 2;
  }
  request = argv[5];
  request_bytes = strlen(request);
  number_at = strstr(request, "############");
  turn_at = strstr(request, "@@@@@@");
  size_t open = strtoul(argv[2], NULL, 10);
  struct connection *connections = calloc(open, sizeof *connections);
  int epoll = epoll_create1(0);
  if (!connections || epoll < 0) fail("start");
  for (size_t i = 0; i < open; i++) {
    connections[i].fd = connect_to((uint16_t)strtoul(argv[1], NULL, 10));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event)) fail("epoll_ctl");
    ask(&connections[i]);
  }
  run_until(now_ns() + strtoul(argv[3], NULL, 10) * 1000000ull, epoll, &open);
  printf("{\"warm\":true}\n");
  fflush(stdout);
  counting = true;
  uint64_t begin_ns = now_ns();
  double begin_cpu_s = cpu_s();
  run_until(begin_ns + strtoul(argv[4], NULL, 10) * 1000000ull, epoll, &open);
  double seconds = (double)(now_ns() - begin_ns) / 1e9, own_cpu_s = cpu_s() - begin_cpu_s;
  qsort(latencies_us, answered, sizeof *latencies_us, ascending);
  printf("{\"requests\":%zu,\"failed\":%llu,\"seconds\":%f,\"own_cpu_s\":%f,\"p99_ms\":%f}\n",
         answered, (unsigned long long)failed, seconds, own_cpu_s, share_ms(0.99));
  return 0;
}
