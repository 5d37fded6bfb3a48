/* A disk with an exact speed: every fsync and fdatasync sleeps SYNC_US microseconds and does nothing else.
 *
 *     cc -shared -fPIC -O2 -o slow_sync.so slow_sync.c && SYNC_US=1000 LD_PRELOAD=./slow_sync.so python ...
 *
 * For benchmarks on tmpfs, where ratios to one sync can be repeated. Never for data that matters: nothing is synced.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static void wait_for_disk(void)
{
    const char *set = getenv("SYNC_US");
    long us = set ? atol(set) : 1000;
    struct timespec duration = {us / 1000000, us % 1000000 * 1000};

    prctl(PR_SET_TIMERSLACK, 1);
    nanosleep(&duration, NULL);
}

int fsync(int descriptor)
{
    (void)descriptor;
    wait_for_disk();
    return 0;
}

int fdatasync(int descriptor)
{
    (void)descriptor;
    wait_for_disk();
    return 0;
}
