/* Takes one viewer's bytes apart: the response's head, then whole server-sent events.
 *
 * Bytes are read into one buffer for all viewers; what is left of an incomplete event is carried over to the viewer's
 * next read. So the buffer has room in front of what is read, where the carried bytes go. Lines end with LF: all of our
 * servers send that, and anything else would be counted as loss. */
#ifndef STREAM_H
#define STREAM_H

#include <ctype.h>
#include <strings.h>
#include <zlib.h>

#include "tally.h"

enum { CARRY_MAX = 64 << 10, READ_BYTES = 256 << 10 };

struct stream {
  char *carry;
  uint32_t carry_bytes;
  uint32_t chunk_left; /* of the present chunk's data; 0: its size line comes next */
  char size_line[10];  /* as much as has come of it */
  uint8_t size_bytes;
  uint8_t chunk_end;   /* bytes of CR LF that still stand behind the last chunk's data */
  bool is_chunked;
  z_stream *gzip;      /* NULL: not compressed */
  char *moved_to;      /* when take_head says MOVED: where, as PORT/PATH, and without PORT on the same one */
};

static char room[CARRY_MAX + READ_BYTES];
static char *const fresh = room + CARRY_MAX; /* read to here */

/* Puts what was carried in front of the fresh bytes; returns where it all begins. */
static char *with_carry(struct stream *stream, char *at) {
  if (!stream->carry_bytes) return at;
  at -= stream->carry_bytes;
  memcpy(at, stream->carry, stream->carry_bytes);
  free(stream->carry);
  stream->carry = NULL;
  stream->carry_bytes = 0;
  return at;
}

/* False: an event is longer than any that a server of ours sends. */
static bool carry_over(struct stream *stream, const char *at, const char *end) {
  if (at == end) return true;
  if (end - at > CARRY_MAX) return false;
  stream->carry_bytes = (uint32_t)(end - at);
  stream->carry = malloc(stream->carry_bytes);
  memcpy(stream->carry, at, stream->carry_bytes);
  return true;
}

static inline bool begins(const char *line, size_t bytes, const char *field) {
  size_t field_bytes = strlen(field);
  return bytes >= field_bytes && memcmp(line, field, field_bytes) == 0;
}

/* What a viewer must know to come back */
static void keep_position(struct tally *tally, const char *line, size_t bytes) {
  if (!tally->position || bytes - 4 >= POSITION_MAX) return;
  memcpy(tally->position, line + 4, bytes - 4);
  tally->position[bytes - 4] = 0;
}

/* Counts the whole events in [at, end) and carries the rest over. Named events are no comments. */
static bool take_events(struct stream *stream, struct tally *tally, char *at, char *end) {
  char *event = at = with_carry(stream, at), *newline;
  const char *data = NULL, *id = NULL;
  size_t data_bytes = 0, id_bytes = 0;
  bool is_named = false;
  for (char *line = at; line < end && (newline = memchr(line, '\n', (size_t)(end - line))); line = newline + 1) {
    size_t bytes = (size_t)(newline - line);
    if (bytes == 0) {
      if (data && !is_named) count_comment(tally, data, data_bytes);
      if (id) keep_position(tally, id, id_bytes);
      event = newline + 1;
      data = id = NULL;
      is_named = false;
    } else if (begins(line, bytes, "data:")) {
      data = line, data_bytes = bytes;
    } else if (begins(line, bytes, "event:")) {
      is_named = true;
    } else if (begins(line, bytes, "id: ")) {
      id = line, id_bytes = bytes;
    } else if (begins(line, bytes, "retry: ")) {
      tally->retry_ms = (uint32_t)decimal(line + 7, line + bytes);
    } else if (*line == ':' && line == event) {
      event = newline + 1; /* a heartbeat: nothing that would have to be carried */
    }
  }
  return carry_over(stream, event, end);
}

/* Takes the chunks' frames out of [at, end), in place; returns the new end, or NULL if a frame is broken. */
static char *without_chunks(struct stream *stream, char *at, char *end) {
  char *out = at;
  while (at < end) {
    if (stream->chunk_left) {
      size_t bytes = (size_t)(end - at) < stream->chunk_left ? (size_t)(end - at) : stream->chunk_left;
      memmove(out, at, bytes);
      out += bytes, at += bytes;
      stream->chunk_left -= (uint32_t)bytes;
      if (!stream->chunk_left) stream->chunk_end = 2;
    } else if (stream->chunk_end) {
      at++, stream->chunk_end--;
    } else if (*at != '\n') {
      if (stream->size_bytes + 1u >= sizeof stream->size_line) return NULL;
      stream->size_line[stream->size_bytes++] = *at++;
    } else {
      at++;
      stream->size_line[stream->size_bytes] = 0;
      stream->size_bytes = 0;
      stream->chunk_left = (uint32_t)strtoul(stream->size_line, NULL, 16);
    }
  }
  return out;
}

static bool take_gzip(struct stream *stream, struct tally *tally, char *at, char *end) {
  static char inflated_room[CARRY_MAX + READ_BYTES];
  char *inflated = inflated_room + CARRY_MAX;
  stream->gzip->next_in = (Bytef *)at;
  stream->gzip->avail_in = (uInt)(end - at);
  do {
    stream->gzip->next_out = (Bytef *)inflated;
    stream->gzip->avail_out = READ_BYTES;
    int result = inflate(stream->gzip, Z_SYNC_FLUSH);
    if (result != Z_OK && result != Z_BUF_ERROR) return false;
    if (!take_events(stream, tally, inflated, (char *)stream->gzip->next_out)) return false;
  } while (!stream->gzip->avail_out);
  return true;
}

/* False: what came is no stream of events. */
static bool take_body(struct stream *stream, struct tally *tally, char *at, char *end) {
  if (stream->is_chunked && !(end = without_chunks(stream, at, end))) return false;
  return (stream->gzip ? take_gzip : take_events)(stream, tally, at, end);
}

static bool has_header(const char *head, const char *name, const char *value) {
  for (const char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n"))
    if (!strncasecmp(line + 2, name, strlen(name))) {
      const char *found = strcasestr(line + 2, value);
      return found && found < strstr(line + 2, "\r\n");
    }
  return false;
}

static char last_refusal[64]; /* the first line of the last head that was neither 200 nor 307; empty: none came whole */

static void keep_refusal(const char *head) {
  size_t bytes = 0;
  for (; bytes + 1 < sizeof last_refusal && (isalnum(head[bytes]) || strchr(" ./", head[bytes])) && head[bytes]; bytes++)
    last_refusal[bytes] = head[bytes];
  last_refusal[bytes] = 0;
}

enum taken { BROKEN, HEAD_LACKS, MOVED, TAKEN };

/* A URL of this machine, or a path; NULL: it is neither. */
static char *location(const char *head) {
  const char *line = strcasestr(head, "\nlocation: "), *at = line ? line + 11 : NULL;
  if (at && !strncmp(at, "http://", 7)) at = strchr(at + 7, ':') ? strchr(at + 7, ':') + 1 : NULL;
  else if (at && *at != '/') at = NULL;
  return at ? strndup(at, strcspn(at, "\r")) : NULL;
}

/* The head, when it is whole, and what comes behind it. BROKEN also if its status is neither 200 nor 307. */
static enum taken take_head(struct stream *stream, struct tally *tally, char *at, char *end) {
  at = with_carry(stream, at);
  char *blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
  if (!blank) return carry_over(stream, at, end) ? HEAD_LACKS : BROKEN;
  blank[2] = 0; /* a string, each line with its end */
  if (!strncmp(at, "HTTP/1.1 307", 12)) return (stream->moved_to = location(at)) ? MOVED : BROKEN;
  if (strncmp(at, "HTTP/1.1 200", 12)) return keep_refusal(at), BROKEN;
  stream->is_chunked = has_header(at, "transfer-encoding:", "chunked");
  if (has_header(at, "content-encoding:", "gzip")) {
    stream->gzip = calloc(1, sizeof *stream->gzip);
    if (inflateInit2(stream->gzip, 15 + 16) != Z_OK) return BROKEN;
  }
  return take_body(stream, tally, blank + 4, end) ? TAKEN : BROKEN;
}

#endif
