/* Counts what the viewers get: exactly for each viewer and comment; latencies for all of them together.
 *
 * A comment's text carries "c#NNNNNN @TNNN... ": its number, counted from 0 by the publisher, and the time at which it
 * was due, in nanoseconds of CLOCK_MONOTONIC. Latency counts from that time, not from the time of sending: a publisher
 * or a server that is held up can't hide the waiting ("coordinated omission"). */
#ifndef TALLY_H
#define TALLY_H

#include "common.h"

enum { POSITION_MAX = 256, RETRY_MS = 2000 };
enum { SUB_BUCKETS = 64, BUCKETS = SUB_BUCKETS * 32 };

/* One viewer's own part. `seen` has one bit for each comment of its video. */
struct tally {
  uint8_t *seen;
  uint32_t video;    /* its number, if there are several */
  uint32_t retry_ms; /* the last `retry:` */
  char *position;    /* the last `id:`; NULL: it isn't kept */
  uint32_t count; /* different comments */
  int32_t last;   /* the number of the latest one; -1: none yet */
};

static struct {
  uint64_t deadline_ns;
  uint64_t deliveries, in_time, doubled, disordered;
  uint64_t misplaced; /* comments of another video */
  uint64_t unmarked;  /* comments of somebody else: a backfill */
  uint64_t bytes, last_ns;
  uint64_t latency[BUCKETS]; /* by bucket_of(microseconds) */
} total = {.deadline_ns = UINT64_MAX};

static uint32_t comments_max; /* numbers from here on are not ours */
static uint32_t videos;       /* that are watched; 0: one, and it has no number */
static uint64_t read_ns;      /* when the present bytes were read */

/* 64 buckets for each power of two: a bucket's width is at most 1/64 of its values. */
static inline unsigned bucket_of(uint64_t us) {
  if (us < SUB_BUCKETS) return (unsigned)us;
  unsigned exponent = 63u - (unsigned)__builtin_clzll(us) - 6;
  unsigned bucket = exponent * SUB_BUCKETS + (unsigned)(us >> exponent);
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The highest value of a bucket: percentiles err upwards. */
static inline uint64_t bucket_top_us(unsigned bucket) {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  unsigned exponent = bucket / SUB_BUCKETS - 1;
  return ((uint64_t)(bucket - exponent * SUB_BUCKETS + 1) << exponent) - 1;
}

static inline void count_delivery(struct tally *viewer, uint32_t number, uint64_t due_ns) {
  uint8_t bit = (uint8_t)(1u << (number & 7)), *byte = &viewer->seen[number >> 3];
  if (*byte & bit) {
    total.doubled++;
  } else {
    *byte |= bit;
    viewer->count++;
    if ((int32_t)number < viewer->last) total.disordered++;
  }
  viewer->last = (int32_t)number;
  total.latency[bucket_of(read_ns > due_ns ? (read_ns - due_ns) / 1000 : 0)]++;
  total.deliveries++;
  total.in_time += read_ns <= total.deadline_ns;
}

static uint64_t decimal(const char *at, const char *end) {
  uint64_t value = 0;
  for (; at < end && *at >= '0' && *at <= '9'; at++) value = value * 10 + (uint64_t)(*at - '0');
  return value;
}

/* An unnamed event's data: the marker anywhere in it, or an unmarked comment. */
static inline void count_comment(struct tally *viewer, const char *data, size_t bytes) {
  const char *end = data + bytes;
  for (const char *hash = data; (hash = memchr(hash, '#', (size_t)(end - hash))); hash++) {
    if (hash == data || hash[-1] != 'c') continue;
    const char *due = memchr(hash, '@', (size_t)(end - hash));
    if (!due || end - due < 3 || due[1] != 'T') continue;
    uint64_t number = decimal(hash + 1, end);
    if (number >= comments_max) break;
    if (videos && number % videos != viewer->video) total.misplaced++;
    else count_delivery(viewer, (uint32_t)(videos ? number / videos : number), decimal(due + 2, end));
    return;
  }
  total.unmarked++;
}

static void print_latency(void) {
  const char *comma = "";
  printf("\"latency_us\":[");
  for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
    if (total.latency[bucket]) {
      printf("%s[%llu,%llu]", comma, (unsigned long long)bucket_top_us(bucket),
             (unsigned long long)total.latency[bucket]);
      comma = ",";
    }
  printf("]");
}

#endif
