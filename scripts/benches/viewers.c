/* viewers: thousands of SSE viewers in one process, which check exactly what they get and cost little CPU.
 *
 *   viewers PATH SOURCE COMMENTS IN_FLIGHT RECEIVE_BYTES gzip|plain VIDEOS
 *
 * SOURCE is the first address that they connect from, COMMENTS the numbers of comments that may come, IN_FLIGHT how many
 * handshakes are under way at a time, RECEIVE_BYTES a socket's buffer. Orders come as lines on stdin, and each is
 * answered by one line of JSON on stdout (VIDEOS: see below):
 *
 *   connect COUNT PORT    COUNT more viewers; answered when each has its response's head, or could not have it
 *   idle COUNT PORT       COUNT more viewers who connect and ask, and then never read
 *   deadline NS           deliveries until then (CLOCK_MONOTONIC) count as in time; without it, all do
 *   await COMMENTS MS     answered when every viewer has the comments 0 to COMMENTS-1 (but for those who never read and
 *                         those whose connection has ended), or when so many milliseconds are over
 *   report COMMENTS       everything counted so far; `lost` against these comments
 *
 * They follow a 307 to a URL of this machine, or to a path.
 *
 * VIDEOS 0: all watch PATH, and whose stream ends stays away. Otherwise they watch so many videos in turn: PATH gets the
 * video's number, and comment N is for video N % VIDEOS. And they are clients as our documents ask for: after a cut or a
 * refusal they go back to the first port with the last `id:`, after the server's `retry:`.
 *
 * The end of stdin ends the process, so it can't outlive the one that started it. All connections end by a reset, so
 * that no port stays in TIME_WAIT. How the comments are recognized: tally.h. */
#include "stream.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>

enum { FILES_FOR_THE_REST = 32, EVENTS = 512, PORTS_OF_A_SOURCE = 10000, COMMAND_BYTES = 256, SLOTS_MAX = 1 << 20 };
enum { WAIT_MS = 100, AWAY_MS = 10 }; /* how late a time-out may be seen, and a viewer that is away come back */

static const uint32_t STDIN = UINT32_MAX; /* in an epoll event, where the slots of viewers stand */

struct viewer {
  int fd;
  enum { UNUSED, IDLE, ASKING, READING, ENDED, AWAY } state; /* only IDLE, ASKING and READING have a socket */
  bool is_in, is_away; /* it has had its stream; it should have one, and has none */
  uint64_t back_ns;    /* AWAY until then */
  struct stream stream;
  struct tally tally;
};

static const char *path;
static struct in_addr source;
static uint32_t in_flight_max;
static int receive_bytes;
static bool wants_gzip;

static struct viewer *viewers;
static uint32_t *free_slots, free_count, slots, readers, ended, idle;
static uint32_t away, in_flight; /* who should have a stream and has none; who waits for a head */
static uint16_t home;            /* the port that they come back to */
static uint64_t seen; /* different comments, over all viewers that haven't ended */
static int epoll;

/* The command under way; `want` viewers are still to be started, `wanted` comments be seen. */
static struct {
  enum { NOTHING, CONNECT, AWAIT } kind;
  bool idle;
  uint16_t port;
  uint32_t want, connected, refused, comments;
  int error;
  uint64_t began_ns, until_ns, wanted;
} command;

/* How many of the first `comments` comments are for a viewer of this video */
static uint32_t due_to(uint32_t video, uint32_t comments) {
  return videos ? comments / videos + (video < comments % videos) : comments;
}

static uint32_t seen_bytes(void) { return (due_to(0, comments_max) + 7) / 8; }

/* Connections */

static void release(struct viewer *viewer) {
  close(viewer->fd); /* the kernel takes it out of the epoll set: it has no duplicate */
  free(viewer->stream.carry);
  free(viewer->stream.moved_to);
  if (viewer->stream.gzip) inflateEnd(viewer->stream.gzip), free(viewer->stream.gzip);
  viewer->stream = (struct stream){0};
}

/* The slot is free again. */
static void refused(uint32_t slot, int error) {
  command.refused++;
  command.error = error;
  viewers[slot].state = UNUSED;
  free_slots[free_count++] = slot;
}

static int open_socket(uint32_t slot, uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0) return -1;
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  struct timeval limit = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  /* One address has too few ports; and the port is to be chosen at connect, when the other end is known. */
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  struct sockaddr_in from = {.sin_family = AF_INET};
  from.sin_addr.s_addr = htonl(ntohl(source.s_addr) + slot / PORTS_OF_A_SOURCE);
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (void *)&from, sizeof from) || connect(fd, (void *)&to, sizeof to)) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

/* moved: the path that a redirect said, or NULL */
static bool ask(uint32_t slot, uint16_t port, const char *moved) {
  const struct tally *tally = &viewers[slot].tally;
  char request[1024], number[12] = "";
  if (videos && !moved) snprintf(number, sizeof number, "%u", tally->video);
  bool comes_back = tally->position && *tally->position;
  int bytes = snprintf(request, sizeof request,
                       "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n%s%s%s%s\r\n",
                       moved ? moved : path, number, port, wants_gzip ? "Accept-Encoding: gzip\r\n" : "",
                       comes_back ? "Last-Event-ID: " : "", comes_back ? tally->position : "",
                       comes_back ? "\r\n" : "");
  if (bytes >= (int)sizeof request) return errno = ENAMETOOLONG, false;
  return write(viewers[slot].fd, request, (size_t)bytes) == bytes;
}

/* Connects and asks. False: errno tells why it couldn't. Connecting blocks, for microseconds: so few are in flight that
 * the listener's backlog has room. */
static bool begin(uint32_t slot, uint16_t port, const char *moved) {
  viewers[slot].fd = open_socket(slot, port);
  if (viewers[slot].fd < 0) return false;
  if (ask(slot, port, moved)) return true;
  int error = errno;
  release(&viewers[slot]);
  viewers[slot].fd = -1;
  errno = error;
  return false;
}

static void await_head(uint32_t slot) {
  viewers[slot].state = ASKING;
  fcntl(viewers[slot].fd, F_SETFL, O_NONBLOCK);
  struct epoll_event interest = {.events = EPOLLIN, .data.u32 = slot};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, viewers[slot].fd, &interest)) fail("epoll_ctl");
  in_flight++;
}

static void start_viewer(void) {
  uint32_t slot = free_slots[--free_count];
  struct viewer *viewer = &viewers[slot];
  command.want--;
  memset(viewer->tally.seen, 0, seen_bytes());
  char *position = viewer->tally.position ? viewer->tally.position : videos ? calloc(1, POSITION_MAX) : NULL;
  if (position) *position = 0;
  viewer->tally = (struct tally){.seen = viewer->tally.seen, .video = videos ? slot % videos : 0,
                                 .retry_ms = RETRY_MS, .position = position, .last = -1};
  if (!begin(slot, home, NULL)) {
    refused(slot, errno);
  } else if (command.idle) {
    viewer->state = IDLE;
    idle++;
    command.connected++;
  } else {
    await_head(slot);
  }
}

/* Coming back */

static void come_back_later(struct viewer *viewer) {
  release(viewer);
  away += !viewer->is_away;
  viewer->is_away = true;
  viewer->state = AWAY;
  viewer->back_ns = now_ns() + viewer->tally.retry_ms * 1000000ull;
}

static void bring_back(void) {
  static uint64_t next_ns;
  uint64_t now = now_ns();
  if (!away || now < next_ns) return;
  next_ns = now + AWAY_MS * 1000000ull;
  for (uint32_t slot = 0; slot < slots && in_flight < in_flight_max; slot++)
    if (viewers[slot].state == AWAY && viewers[slot].back_ns <= now) {
      if (begin(slot, home, NULL)) await_head(slot);
      else come_back_later(&viewers[slot]);
    }
}

/* Reading */

static void head_has_come(uint32_t slot, enum taken taken) {
  struct viewer *viewer = &viewers[slot];
  in_flight--;
  if (taken == MOVED) {
    char *to = viewer->stream.moved_to;
    viewer->stream.moved_to = NULL;
    release(viewer);
    bool begun = begin(slot, *to == '/' ? home : (uint16_t)atoi(to), strchr(to, '/'));
    free(to);
    if (begun) {
      await_head(slot);
      return;
    }
  }
  if (taken == TAKEN) {
    viewer->state = READING;
    away -= viewer->is_away;
    command.connected += !viewer->is_in;
    readers += !viewer->is_in;
    viewer->is_in = true, viewer->is_away = false;
  } else if (videos) {
    come_back_later(viewer);
  } else {
    refused(slot, EPROTO);
    if (viewer->fd >= 0) release(viewer);
  }
}

/* The server has ended the stream, or what came is no stream of events. */
static void end_viewer(struct viewer *viewer) {
  ended++;
  if (videos) {
    come_back_later(viewer);
    return;
  }
  seen -= viewer->tally.count;
  command.wanted -= command.comments;
  viewer->state = ENDED;
  release(viewer);
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
  read_ns = now_ns();
  uint32_t before = viewer->tally.count;
  total.bytes += (uint64_t)bytes;
  total.last_ns = read_ns;
  enum taken taken;
  if (in_head) {
    taken = take_head(stream, &viewer->tally, fresh, fresh + bytes);
    if (taken == HEAD_LACKS) return;
    head_has_come(slot, taken);
    if (taken != TAKEN) return;
  } else {
    taken = take_body(stream, &viewer->tally, fresh, fresh + bytes) ? TAKEN : BROKEN;
  }
  seen += viewer->tally.count - before;
  if (taken == BROKEN) end_viewer(viewer);
}

/* Commands */

static void report(uint32_t comments) {
  uint64_t lost = 0;
  for (uint32_t slot = 0; slot < slots; slot++) {
    struct viewer *viewer = &viewers[slot];
    uint32_t due = due_to(viewer->tally.video, comments);
    if (viewer->is_in && viewer->tally.count < due) lost += due - viewer->tally.count;
  }
  printf("{\"viewers\":%u,\"idle\":%u,\"ended\":%u,\"deliveries\":%llu,\"in_time\":%llu,\"lost\":%llu,\"doubled\":%llu,"
         "\"disordered\":%llu,\"misplaced\":%llu,\"unmarked\":%llu,\"bytes\":%llu,\"last_ns\":%llu,",
         readers, idle, ended, (unsigned long long)total.deliveries, (unsigned long long)total.in_time,
         (unsigned long long)lost, (unsigned long long)total.doubled, (unsigned long long)total.disordered,
         (unsigned long long)total.misplaced, (unsigned long long)total.unmarked, (unsigned long long)total.bytes, (unsigned long long)total.last_ns);
  print_latency();
  printf("}\n");
}

static void obey(const char *line) {
  unsigned first, second;
  unsigned long long ns;
  command.began_ns = now_ns();
  bool never_read = sscanf(line, "idle %u %u", &first, &second) == 2;
  if (never_read || sscanf(line, "connect %u %u", &first, &second) == 2) {
    command.kind = CONNECT;
    command.idle = never_read;
    home = (uint16_t)second;
    command.want = first < free_count ? first : free_count;
    command.connected = 0;
    command.refused = first - command.want;
    command.error = command.refused ? EMFILE : 0;
  } else if (sscanf(line, "await %u %u", &first, &second) == 2) {
    command.kind = AWAIT;
    command.comments = first;
    command.until_ns = command.began_ns + second * 1000000ull;
    command.wanted = 0;
    for (uint32_t slot = 0; slot < slots; slot++)
      if (viewers[slot].is_in && viewers[slot].state != ENDED) command.wanted += due_to(viewers[slot].tally.video, first);
  } else if (sscanf(line, "deadline %llu", &ns) == 1) {
    total.deadline_ns = ns;
    printf("{}\n");
  } else if (sscanf(line, "report %u", &first) == 1) {
    report(first);
  } else {
    printf("{\"error\":\"no such command\"}\n");
  }
  fflush(stdout);
}

/* The answer of the command under way, as soon as it is done. */
static void answer_when_done(void) {
  if (command.kind == CONNECT && !command.want && !in_flight && !away) {
    printf("{\"connected\":%u,\"refused\":%u,\"reason\":\"%s\"}\n", command.connected, command.refused,
           !command.refused ? "" : *last_refusal ? last_refusal : strerror(command.error));
  } else if (command.kind == AWAIT) {
    bool complete = seen >= command.wanted && !away;
    if (!complete && now_ns() < command.until_ns) return;
    printf("{\"complete\":%s}\n", complete ? "true" : "false");
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
    while (command.kind == CONNECT && command.want && in_flight < in_flight_max) start_viewer();
    bring_back();
    answer_when_done();
    int count = epoll_wait(epoll, events, EVENTS, away ? AWAY_MS : WAIT_MS);
    for (int i = 0; i < count; i++)
      if (events[i].data.u32 != STDIN) read_viewer(events[i].data.u32);
      else if (command.kind != NOTHING && events[i].events & EPOLLHUP) return;
  }
}

static void make_slots(void) {
  rlim_t files = open_files_max();
  slots = (files < SLOTS_MAX ? (uint32_t)files : SLOTS_MAX) - FILES_FOR_THE_REST;
  viewers = calloc(slots, sizeof *viewers);
  free_slots = calloc(slots, sizeof *free_slots);
  uint8_t *all_seen = calloc(slots, seen_bytes());
  if (!viewers || !free_slots || !all_seen) fail("memory");
  for (uint32_t slot = slots; slot-- > 0;) {
    viewers[slot].tally.seen = all_seen + (size_t)slot * seen_bytes();
    free_slots[free_count++] = slot;
  }
}

int main(int argc, char **argv) {
  if (argc != 8 || !inet_aton(argv[2], &source)) {
    fprintf(stderr, "usage: viewers PATH SOURCE COMMENTS IN_FLIGHT RECEIVE_BYTES gzip|plain VIDEOS\n");
    return 2;
  }
  path = argv[1];
  comments_max = (uint32_t)atol(argv[3]);
  in_flight_max = (uint32_t)atol(argv[4]);
  receive_bytes = atoi(argv[5]);
  wants_gzip = !strcmp(argv[6], "gzip");
  videos = (uint32_t)atol(argv[7]);
  signal(SIGPIPE, SIG_IGN);
  make_slots();
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  struct epoll_event interest = {.events = EPOLLIN, .data.u32 = STDIN};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &interest)) fail("stdin");
  run();
  return 0;
}
