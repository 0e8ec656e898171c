/* A wall clock that a test sets while processes run: preloaded, it adds the nanoseconds that the file named by
 * SHIFTED_CLOCK holds (a 64-bit integer) to CLOCK_REALTIME, at once and for all who share the file. Monotonic clocks and
 * sleeps are left alone, as when a machine's clock is set. Debian 12's libfaketime breaks time.sleep of Python 3.11, and
 * a time namespace has no wall clock of its own.
 *
 * It needs a compiler, and no header: cc -shared -fPIC -nostdlib. */

typedef struct { long s, ns; } timespec;
typedef struct { long s, us; } timeval;

extern long syscall(long number, ...);
extern char *getenv(const char *name);
extern int open(const char *path, int flags, ...);
extern void *mmap(void *at, unsigned long length, int protection, int flags, int file, long offset);

#if defined(__x86_64__)
enum { CLOCK_GETTIME = 228 };
#elif defined(__aarch64__)
enum { CLOCK_GETTIME = 113 };
#endif
enum { REALTIME = 0, REALTIME_COARSE = 5, READ_ONLY = 0, PROT_READ = 1, MAP_SHARED = 1 };
#define SECOND 1000000000L

static const volatile long *ahead_ns;

__attribute__((constructor)) static void share(void) {
    const char *path = getenv("SHIFTED_CLOCK");
    int file = path ? open(path, READ_ONLY) : -1;
    if (file < 0) return;
    void *shared = mmap(0, sizeof *ahead_ns, PROT_READ, MAP_SHARED, file, 0);
    if (shared != (void *)-1) ahead_ns = shared;
}

int clock_gettime(int clock, timespec *now) {
    long failed = syscall(CLOCK_GETTIME, clock, now);
    if (failed || !ahead_ns || (clock != REALTIME && clock != REALTIME_COARSE)) return (int)failed;
    long ns = now->s * SECOND + now->ns + *ahead_ns;
    now->s = ns / SECOND;
    now->ns = ns % SECOND;
    return 0;
}

int gettimeofday(timeval *now, void *zone) {
    timespec exact;
    clock_gettime(REALTIME, &exact);
    now->s = exact.s;
    now->us = exact.ns / 1000;
    return 0;
}

long time(long *now) {
    timespec exact;
    clock_gettime(REALTIME, &exact);
    if (now) *now = exact.s;
    return exact.s;
}
