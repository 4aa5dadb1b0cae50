/* Makes system calls on files fail on command: preloaded into the program under test (LD_PRELOAD).
 *
 * NUDGE_FAULT_PLAN names a file of at least 680 bytes that is mapped; whoever writes it commands:
 *    0 u32 errno of what fails   4 u32 1: the process is killed instead, before the call
 *    8 u64 calls so far on files whose path contains the pattern
 *   16 u64 first call that fails, from 1; 0: none   24 u64 the last one
 *   32 char[512] pattern, ends with 0; empty: nothing matches
 *  544 u32 process whose calls count; 0: those of every process that is started with the plan
 *  548 u32 1: the trigger was seen
 *  552 char[128] trigger, ends with 0: calls count from the first one on that writes these bytes, or
 *      whose path contains them; empty: from the beginning
 * Calls that count: opening to write, writing, syncing, cutting, reserving, renaming, removing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

struct plan {
  uint32_t error, kills;
  uint64_t calls, first, last;
  char pattern[512];
  uint32_t process, armed;
  char trigger[128];
};

static struct plan* plan;

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("NUDGE_FAULT_PLAN");
  if (path == NULL) return;
  int (*real)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
  const int fd = real(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* at = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED) plan = at;
}

static int concerns_us(void) {
  if (plan == NULL || plan->pattern[0] == 0) return 0;
  return plan->process == 0 || plan->process == (uint32_t)getpid();
}

static void look_at(const void* bytes, size_t size) {
  if (!concerns_us() || plan->armed || plan->trigger[0] == 0) return;
  if (memmem(bytes, size, plan->trigger, strlen(plan->trigger)) != NULL) plan->armed = 1;
}

static int fails_at(const char* path) {
  if (!concerns_us() || path == NULL) return 0;
  look_at(path, strlen(path));
  if (plan->trigger[0] != 0 && !plan->armed) return 0;
  if (strstr(path, plan->pattern) == NULL) return 0;
  const uint64_t call = __atomic_add_fetch(&plan->calls, 1, __ATOMIC_SEQ_CST);
  const uint64_t first = plan->first;
  if (first == 0 || call < first || call > plan->last) return 0;
  if (plan->kills) kill(getpid(), SIGKILL);
  errno = (int)plan->error;
  return 1;
}

static int path_of(int fd, char* path, size_t size) {
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, size - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return path[0] == '/';
}

static int fails_on(int fd) {
  if (!concerns_us()) return 0;
  char path[4096];
  const int known = errno;
  const int there = path_of(fd, path, sizeof path);
  errno = known;
  return there && fails_at(path);
}

static int fails_in(int folder, const char* name) {
  if (!concerns_us()) return 0;
  if (folder == AT_FDCWD || name[0] == '/') return fails_at(name);
  char path[4096 + 256];
  if (!path_of(folder, path, 4096)) return 0;
  strncat(path, "/", 2);
  strncat(path, name, 250);
  return fails_at(path);
}

#define REAL(name) static __typeof__(&name) real; if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define ON(name, result, arguments, call)      \
  result name arguments {                      \
    REAL(name);                                \
    if (fails_on(fd)) return -1;               \
    return real call;                          \
  }
#define WRITE(name, arguments, call)           \
  ssize_t name arguments {                     \
    REAL(name);                                \
    look_at(bytes, size);                      \
    if (fails_on(fd)) return -1;               \
    return real call;                          \
  }

WRITE(write, (int fd, const void* bytes, size_t size), (fd, bytes, size))
WRITE(pwrite, (int fd, const void* bytes, size_t size, off_t at), (fd, bytes, size, at))
WRITE(pwrite64, (int fd, const void* bytes, size_t size, off64_t at), (fd, bytes, size, at))
ON(writev, ssize_t, (int fd, const struct iovec* parts, int count), (fd, parts, count))
ON(fsync, int, (int fd), (fd))
ON(fdatasync, int, (int fd), (fd))
ON(ftruncate, int, (int fd, off_t size), (fd, size))
ON(ftruncate64, int, (int fd, off64_t size), (fd, size))
ON(fallocate, int, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
ON(fallocate64, int, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size))

int posix_fallocate(int fd, off_t at, off_t size) {
  REAL(posix_fallocate);
  return fails_on(fd) ? errno : real(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
  REAL(posix_fallocate64);
  return fails_on(fd) ? errno : real(fd, at, size);
}

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT) != 0)
#define OPEN(name)                                             \
  int name(const char* path, int flags, ...) {                 \
    REAL(name);                                                \
    va_list more;                                              \
    va_start(more, flags);                                     \
    const mode_t mode = va_arg(more, mode_t);                  \
    va_end(more);                                              \
    if (WRITES(flags) && fails_at(path)) return -1;            \
    return real(path, flags, mode);                            \
  }
#define OPENAT(name)                                           \
  int name(int folder, const char* path, int flags, ...) {     \
    REAL(name);                                                \
    va_list more;                                              \
    va_start(more, flags);                                     \
    const mode_t mode = va_arg(more, mode_t);                  \
    va_end(more);                                              \
    if (WRITES(flags) && fails_in(folder, path)) return -1;    \
    return real(folder, path, flags, mode);                    \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

FILE* fopen64(const char* path, const char* mode) {
  REAL(fopen64);
  if (strpbrk(mode, "wa+") != NULL && fails_at(path)) return NULL;
  return real(path, mode);
}
int rename(const char* from, const char* to) {
  REAL(rename);
  return fails_at(to) ? -1 : real(from, to);
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  REAL(renameat);
  return fails_in(to_folder, to) ? -1 : real(from_folder, from, to_folder, to);
}
int unlink(const char* path) {
  REAL(unlink);
  return fails_at(path) ? -1 : real(path);
}
int unlinkat(int folder, const char* path, int flags) {
  REAL(unlinkat);
  return fails_in(folder, path) ? -1 : real(folder, path, flags);
}
