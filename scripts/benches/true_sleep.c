/* Loaded before libfaketime (wrong_clock.py). Version 0.9.10 takes an absolute time of CLOCK_MONOTONIC for one of the
 * clock that it fakes, so Python's time.sleep fails. Sleeping by the monotonic clock needs no faking at all. */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wanted, struct timespec *left)
{
    int kept = errno;
    int failed = syscall(SYS_clock_nanosleep, clock, flags, wanted, left) ? errno : 0;
    errno = kept;
    return failed; /* as POSIX has it: the error, not -1 */
}
