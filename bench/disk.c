/* A disk whose sync takes exactly as long as asked, and fails when asked: for measuring and for fault tests.
 *
 *   cc -shared -fPIC -O2 -o disk.so disk.c && SYNC_US=1000 LD_PRELOAD=./disk.so python ...
 *
 * SYNC_US       fsync and fdatasync sleep so many microseconds and sync nothing (use it over tmpfs). Unset: they sync.
 * SYNC_FAIL_AT  the sync of this number (from 1) fails with EIO, once. Unset or 0: none does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

static int sync_as_asked(int fd, long call)
{
    static long count;
    if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == number("SYNC_FAIL_AT", 0)) {
        errno = EIO;
        return -1;
    }
    long us = number("SYNC_US", -1);
    if (us < 0)
        return (int)syscall(call, fd);
    struct timespec rest = {us / 1000000, us % 1000000 * 1000};
    prctl(PR_SET_TIMERSLACK, 1); /* the default of 50 us would be part of the figure */
    nanosleep(&rest, NULL);
    return 0;
}

int fsync(int fd) { return sync_as_asked(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_as_asked(fd, SYS_fdatasync); }
