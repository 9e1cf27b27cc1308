/* viewers: thousands of SSE viewers in one process, which check exactly what they get and cost little CPU.
 *
 *   viewers --address 127.0.0.1 --path /comments/v --source 127.1.0.1 --comments 800 [--in-flight 1000]
 *           [--receive-bytes 16384] [--gzip]
 *
 * It is told what to do by lines on stdin, and answers each with one line of JSON on stdout, in order:
 *
 *   connect COUNT PORT    COUNT more viewers; answered when each has its response's head, or could not have it
 *   idle COUNT PORT       COUNT more viewers who connect and ask, and then never read
 *   await COMMENTS MS     answered when every viewer has the comments 0 to COMMENTS-1 (but for those who never read and
 *                         those whose connection has ended), or when so many milliseconds are over
 *   report COMMENTS       everything counted so far, lost: against these comments
 *
 * The end of stdin ends the process: it can't outlive the one that started it. All connections end by a reset, so that
 * no port stays in TIME_WAIT. How the comments are recognized: tally.h. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "stream.h"

enum { FILES_FOR_THE_REST = 32, EVENTS = 512, PORTS_OF_A_SOURCE = 10000, COMMAND_BYTES = 256, SLOTS_MAX = 1 << 20 };
enum { WAIT_MS = 100 }; /* how late a time-out may be seen; everything else wakes the process */

static const uint32_t STDIN = UINT32_MAX; /* in an epoll event, where the slots of viewers stand */

struct viewer {
  int fd;
  enum { UNUSED, IDLE, ASKING, READING, ENDED } state; /* only IDLE, ASKING and READING have a socket */
  struct stream stream;
  struct tally tally;
};

static struct {
  struct in_addr address, source;
  const char *path;
  uint32_t comments_max, in_flight_max;
  int receive_bytes;
  bool gzip;
} options = {.comments_max = 1000, .in_flight_max = 1000, .receive_bytes = 16384};

static struct viewer *viewers;
static uint32_t *free_slots, free_count, slots, readers, ended, idle;
static uint64_t seen; /* different comments, over all viewers that are connected */
static int epoll;

/* The command under way; `want` viewers are still to be started, and `in_flight` wait for their head. */
static struct {
  enum { NOTHING, CONNECT, AWAIT } kind;
  bool idle;
  uint16_t port;
  uint32_t want, in_flight, connected, refused, comments;
  int error;
  uint64_t began_ns, until_ns;
} command;

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static double cpu_s(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static uint32_t seen_bytes(void) { return (options.comments_max + 7) / 8; }

static void fail(const char *what) {
  fprintf(stderr, "viewers: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* Connections */

static void forget(struct viewer *viewer) {
  close(viewer->fd); /* the kernel takes it out of the epoll set: it has no duplicate */
  free(viewer->stream.carry);
#ifdef WITH_GZIP
  if (viewer->stream.gzip) inflateEnd(viewer->stream.gzip), free(viewer->stream.gzip);
#endif
  viewer->stream = (struct stream){0};
}

/* The slot is free again. */
static void refused(uint32_t slot, int error) {
  command.refused++;
  command.error = error;
  viewers[slot].state = UNUSED;
  free_slots[free_count++] = slot;
}

static int open_socket(uint32_t slot) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0) return -1;
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  struct timeval limit = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options.receive_bytes, sizeof options.receive_bytes);
  /* One address has too few ports; and the port is to be chosen at connect, when the other end is known. */
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  struct sockaddr_in source = {.sin_family = AF_INET};
  source.sin_addr.s_addr = htonl(ntohl(options.source.s_addr) + slot / PORTS_OF_A_SOURCE);
  struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(command.port), .sin_addr = options.address};
  if (bind(fd, (void *)&source, sizeof source) || connect(fd, (void *)&target, sizeof target)) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

static bool ask(uint32_t slot) {
  char request[1024];
  int bytes = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nAccept: text/event-stream\r\n%s\r\n",
                       options.path, inet_ntoa(options.address), command.port,
                       options.gzip ? "Accept-Encoding: gzip\r\n" : "");
  return write(viewers[slot].fd, request, (size_t)bytes) == bytes;
}

/* Connecting blocks, for microseconds: so few are in flight that the listener's backlog has room. */
static void start_viewer(void) {
  uint32_t slot = free_slots[--free_count];
  struct viewer *viewer = &viewers[slot];
  command.want--;
  memset(viewer->tally.seen, 0, seen_bytes());
  viewer->tally.count = 0;
  viewer->tally.last = -1;
  viewer->fd = open_socket(slot);
  if (viewer->fd < 0) {
    refused(slot, errno);
    return;
  }
  if (!ask(slot)) {
    refused(slot, errno);
    forget(viewer);
    return;
  }
  viewer->state = command.idle ? IDLE : ASKING;
  if (command.idle) {
    idle++;
    command.connected++;
    return;
  }
  fcntl(viewer->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event interest = {.events = EPOLLIN, .data.u32 = slot};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, viewer->fd, &interest)) fail("epoll_ctl");
  command.in_flight++;
}

/* Reading */

static void head_has_come(uint32_t slot, enum taken taken) {
  command.in_flight--;
  if (taken == TAKEN) {
    viewers[slot].state = READING;
    command.connected++;
    readers++;
  } else {
    refused(slot, EPROTO);
    forget(&viewers[slot]);
  }
}

/* The server has ended the stream, or what came is no stream of events. */
static void end_viewer(struct viewer *viewer) {
  seen -= viewer->tally.count;
  ended++;
  viewer->state = ENDED;
  forget(viewer);
}

static void read_viewer(uint32_t slot) {
  struct viewer *viewer = &viewers[slot];
  struct stream *stream = &viewer->stream;
  bool in_head = viewer->state == ASKING;
  ssize_t bytes = read(viewer->fd, fresh, READ_BYTES);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes <= 0) {
    if (in_head) head_has_come(slot, BROKEN);
    else end_viewer(viewer);
    return;
  }
  uint64_t now = now_ns();
  uint32_t before = viewer->tally.count;
  total.bytes += (uint64_t)bytes;
  total.last_ns = now;
  enum taken taken;
  if (in_head) {
    taken = take_head(stream, &viewer->tally, fresh, fresh + bytes, options.comments_max, now);
    if (taken == HEAD_LACKS) return;
    head_has_come(slot, taken);
    if (taken != TAKEN) return;
  } else {
    taken = take_body(stream, &viewer->tally, fresh, fresh + bytes, options.comments_max, now) ? TAKEN : BROKEN;
  }
  seen += viewer->tally.count - before;
  if (taken == BROKEN) end_viewer(viewer);
}

/* Commands */

static void report(uint32_t comments) {
  uint64_t lost = 0, with_loss = 0;
  for (uint32_t slot = 0; slot < slots; slot++) {
    struct viewer *viewer = &viewers[slot];
    if ((viewer->state != READING && viewer->state != ENDED) || viewer->tally.count >= comments) continue;
    lost += comments - viewer->tally.count;
    with_loss++;
  }
  printf("{\"viewers\":%u,\"idle\":%u,\"ended\":%u,\"deliveries\":%llu,\"lost\":%llu,\"viewers_with_loss\":%llu,"
         "\"doubled\":%llu,\"disordered\":%llu,\"unmarked\":%llu,\"gaps\":%llu,\"named\":%llu,\"bytes\":%llu,"
         "\"last_ns\":%llu,\"max_us\":%llu,\"cpu_s\":%.3f,",
         readers, idle, ended, (unsigned long long)total.deliveries, (unsigned long long)lost,
         (unsigned long long)with_loss, (unsigned long long)total.doubled, (unsigned long long)total.disordered,
         (unsigned long long)total.unmarked, (unsigned long long)total.gaps, (unsigned long long)total.named,
         (unsigned long long)total.bytes, (unsigned long long)total.last_ns, (unsigned long long)total.max_us, cpu_s());
  print_latency(stdout);
  printf(",");
  print_timeline(stdout);
  printf("}\n");
}

static void obey(const char *line) {
  unsigned first, second;
  command.began_ns = now_ns();
  bool never_read = sscanf(line, "idle %u %u", &first, &second) == 2;
  if (never_read || sscanf(line, "connect %u %u", &first, &second) == 2) {
    command.kind = CONNECT;
    command.idle = never_read;
    command.port = (uint16_t)second;
    command.want = first < free_count ? first : free_count;
    command.connected = 0;
    command.refused = first - command.want;
    command.error = command.refused ? EMFILE : 0;
  } else if (sscanf(line, "await %u %u", &first, &second) == 2) {
    command.kind = AWAIT;
    command.comments = first;
    command.until_ns = command.began_ns + second * 1000000ull;
  } else if (sscanf(line, "report %u", &first) == 1) {
    report(first);
  } else {
    printf("{\"error\":\"no such command\"}\n");
  }
  fflush(stdout);
}

/* The answer of the command under way, as soon as it is done. */
static void answer_when_done(void) {
  double took_s = (double)(now_ns() - command.began_ns) * 1e-9;
  if (command.kind == CONNECT && !command.want && !command.in_flight) {
    printf("{\"connected\":%u,\"refused\":%u,\"reason\":\"%s\",\"seconds\":%.3f,\"cpu_s\":%.3f}\n", command.connected,
           command.refused, command.refused ? strerror(command.error) : "", took_s, cpu_s());
  } else if (command.kind == AWAIT) {
    bool complete = seen >= (uint64_t)command.comments * (readers - ended);
    if (!complete && now_ns() < command.until_ns) return;
    printf("{\"complete\":%s,\"seconds\":%.3f}\n", complete ? "true" : "false", took_s);
  } else {
    return;
  }
  fflush(stdout);
  command.kind = NOTHING;
}

/* False: stdin has ended. One command at a time: the next one waits in the pipe until this one is answered. */
static bool read_command(void) {
  static char line[COMMAND_BYTES];
  static size_t bytes;
  while (command.kind == NOTHING) {
    ssize_t got = read(STDIN_FILENO, line + bytes, 1);
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    if (line[bytes] == '\n') {
      line[bytes] = 0;
      bytes = 0;
      obey(line);
    } else if (bytes + 2 < sizeof line) {
      bytes++;
    }
  }
  return true;
}

static void run(void) {
  struct epoll_event events[EVENTS];
  for (;;) {
    if (command.kind == NOTHING && !read_command()) return;
    while (command.kind == CONNECT && command.want && command.in_flight < options.in_flight_max) start_viewer();
    answer_when_done();
    int count = epoll_wait(epoll, events, EVENTS, WAIT_MS);
    for (int i = 0; i < count; i++)
      if (events[i].data.u32 != STDIN) read_viewer(events[i].data.u32);
      else if (command.kind != NOTHING && events[i].events & EPOLLHUP) return;
  }
}

/* Start */

static void parse(int count, char **arguments) {
  static const struct option known[] = {
      {"address", 1, 0, 'a'},   {"path", 1, 0, 'p'},          {"source", 1, 0, 's'}, {"comments", 1, 0, 'c'},
      {"in-flight", 1, 0, 'i'}, {"receive-bytes", 1, 0, 'r'}, {"gzip", 0, 0, 'g'},   {0, 0, 0, 0}};
  inet_aton("127.0.0.1", &options.address);
  inet_aton("127.1.0.1", &options.source);
  options.path = "/";
  for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) switch (option) {
      case 'a': inet_aton(optarg, &options.address); break;
      case 'p': options.path = optarg; break;
      case 's': inet_aton(optarg, &options.source); break;
      case 'c': options.comments_max = (uint32_t)atol(optarg); break;
      case 'i': options.in_flight_max = (uint32_t)atol(optarg); break;
      case 'r': options.receive_bytes = atoi(optarg); break;
      case 'g': options.gzip = true; break;
      default: exit(2);
    }
#ifndef WITH_GZIP
  if (options.gzip) {
    fprintf(stderr, "viewers: built without zlib\n");
    exit(2);
  }
#endif
}

static void make_slots(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  slots = (files.rlim_max < SLOTS_MAX ? (uint32_t)files.rlim_max : SLOTS_MAX) - FILES_FOR_THE_REST;
  viewers = calloc(slots, sizeof *viewers);
  free_slots = calloc(slots, sizeof *free_slots);
  uint8_t *all_seen = calloc(slots, seen_bytes());
  if (!viewers || !free_slots || !all_seen) fail("memory");
  for (uint32_t slot = slots; slot-- > 0;) {
    viewers[slot].tally.last = -1;
    viewers[slot].tally.seen = all_seen + (size_t)slot * seen_bytes();
    free_slots[free_count++] = slot;
  }
}

int main(int count, char **arguments) {
  parse(count, arguments);
  signal(SIGPIPE, SIG_IGN);
  make_slots();
  total.began_ns = now_ns();
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  struct epoll_event interest = {.events = EPOLLIN, .data.u32 = STDIN};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &interest)) fail("stdin");
  run();
  return 0;
}
