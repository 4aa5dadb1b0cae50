#include "src/learning/sandbox.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

namespace nudge {
namespace {

constexpr std::uint64_t kMebibyte = 1u << 20;
constexpr rlim_t kOpenFiles = 1024;
// The process writes to its log alone, which begins below 4 MiB (LearnerProcess::rotate_log).
constexpr rlim_t kFileBytes = 16 * kMebibyte;

// ---- Landlock (linux/landlock.h; the C library has no functions for it) ------------------------

// Rights of later versions than this header's; numbers of the kernel's interface.
constexpr std::uint64_t kRefer = 1u << 13, kTruncate = 1u << 14, kIoctlDevice = 1u << 15;
constexpr std::uint64_t kScopeAbstractSocket = 1u << 0, kScopeSignal = 1u << 1;
constexpr std::uint64_t kBindTcp = 1u << 0, kConnectTcp = 1u << 1;
struct Ruleset {
  std::uint64_t files = 0, network = 0, scoped = 0;
};

int landlock_version() {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? static_cast<int>(version) : 0;
}

bool allow(int ruleset, const std::string& path, std::uint64_t rights) {
  const int parent = ::open(path.c_str(), O_PATH | O_CLOEXEC);
  if (parent < 0) return false;
  struct stat about {};
  if (::fstat(parent, &about) == 0 && !S_ISDIR(about.st_mode)) {
    rights &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE |
              LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctlDevice;
  }
  landlock_path_beneath_attr rule{.allowed_access = rights, .parent_fd = parent};
  const bool allowed =
      ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
  ::close(parent);
  return allowed;
}

// The version in force; 0: none.
int enter_landlock(const SandboxOptions& options, std::vector<std::string>& unreadable) {
  const int version = landlock_version();
  if (version == 0) return 0;
  Ruleset rules;
  rules.files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // all of the first version
  if (version >= 2) rules.files |= kRefer;
  if (version >= 3) rules.files |= kTruncate;
  if (version >= 4) rules.network = kBindTcp | kConnectTcp;
  if (version >= 5) rules.files |= kIoctlDevice;
  if (version >= 6) rules.scoped = kScopeAbstractSocket | kScopeSignal;
  const std::size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const int ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rules, size, 0));
  if (ruleset < 0) return 0;
  constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  for (const std::string& path : options.readable) {
    if (!allow(ruleset, path, kRead)) unreadable.push_back(path);
  }
  const std::uint64_t write =
      (kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctlDevice) & rules.files;
  for (const std::string& path : options.writable) (void)allow(ruleset, path, write);
  // Libraries that are loaded late, and what they ask of the machine.
  for (const char* path : {"/usr", "/lib", "/lib64", "/opt"}) {
    (void)allow(ruleset, path, kRead | LANDLOCK_ACCESS_FS_EXECUTE);
  }
  for (const char* path :
       {"/etc/ld.so.cache", "/sys/devices/system/cpu", "/sys/devices/system/node", "/proc/cpuinfo",
        "/proc/meminfo", "/dev/null", "/dev/urandom"}) {
    (void)allow(ruleset, path, kRead);
  }
  const bool done = ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  ::close(ruleset);
  return done ? version : 0;
}

// ---- seccomp ------------------------------------------------------------------------------------

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;  // unknown: no filter
#endif

// System calls that are harmless whatever their arguments.
constexpr int kAllowed[] = {
    // memory
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_mincore,
    SYS_msync,
    SYS_membarrier,
    SYS_get_mempolicy,
    // what is open
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_close,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_fcntl,
    SYS_dup,
    SYS_dup3,
    SYS_getdents64,
    SYS_readlinkat,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_getcwd,
    SYS_fsync,
    SYS_fdatasync,
    SYS_fadvise64,
    SYS_flock,
    SYS_statfs,
    SYS_fstatfs,
    SYS_mkdirat,
    // the socket that it has; there is no other
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_shutdown,
    // waiting
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_eventfd2,
    SYS_pipe2,
    SYS_futex,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_sched_yield,
    SYS_restart_syscall,
    // clocks and names
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_times,
    SYS_getrusage,
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_uname,
    SYS_sysinfo,
    SYS_getcpu,
    SYS_getrandom,
    SYS_getpgid,
    SYS_getpriority,
    // threads and signals of its own
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_set_tid_address,
    SYS_sched_getaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_exit,
    SYS_exit_group,
#if defined(__x86_64__)
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_pipe,
    SYS_dup2,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_getdents,
    SYS_time,
    SYS_arch_prctl,
    SYS_getpgrp,
    SYS_getrlimit,
    SYS_mkdir,
#endif
};

constexpr std::uint32_t kWriting =
    O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);

class Filter {
 public:
  static constexpr std::uint32_t kNo = SECCOMP_RET_ERRNO | EPERM;

  Filter() {
    load(offsetof(seccomp_data, arch));
    // Another architecture's calls have other numbers: whoever makes them is up to no good.
    add(BPF_STMT(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture), 1, 0);
    add_return(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    add(BPF_STMT(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u), 0, 1);  // x32's
    add_return(kNo);
#endif
  }

  void call(int number) {
    add(BPF_STMT(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number)), 0, 1);
    add_return(SECCOMP_RET_ALLOW);
  }
  void call_is(int number, std::uint32_t answer) {
    add(BPF_STMT(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number)), 0, 1);
    add_return(answer);
  }
  // When the lower half of an argument has none of these bits, and the upper half is 0.
  void call_without(int number, unsigned argument, std::uint32_t bits) {
    conditional(number, argument, BPF_STMT(BPF_JMP | BPF_JSET | BPF_K, bits), false);
  }
  // When it has all of these bits; here of one bit alone.
  void call_with(int number, unsigned argument, std::uint32_t bit) {
    conditional(number, argument, BPF_STMT(BPF_JMP | BPF_JSET | BPF_K, bit), true);
  }
  void call_equal(int number, unsigned argument, std::uint32_t value) {
    conditional(number, argument, BPF_STMT(BPF_JMP | BPF_JEQ | BPF_K, value), true);
  }
  // When it is `value` under `mask`.
  void call_masked(int number, unsigned argument, std::uint32_t mask, std::uint32_t value) {
    add(BPF_STMT(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number)), 0, 5);
    load(offsetof(seccomp_data, args) + 8 * argument);
    add(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
    add(BPF_STMT(BPF_JMP | BPF_JEQ | BPF_K, value), 0, 1);
    add_return(SECCOMP_RET_ALLOW);
    load(offsetof(seccomp_data, nr));
  }

  bool install() {
    add_return(kNo);
    sock_fprog program{.len = static_cast<unsigned short>(code_.size()), .filter = code_.data()};
    // Of all threads there are: libraries have some already.
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ==
           0;
  }

 private:
  void add(sock_filter instruction, std::uint8_t if_true = 0, std::uint8_t if_false = 0) {
    instruction.jt = if_true;
    instruction.jf = if_false;
    code_.push_back(instruction);
  }
  void add_return(std::uint32_t answer) { add(BPF_STMT(BPF_RET | BPF_K, answer)); }
  void load(std::size_t offset) {
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  // Little-endian, as both architectures are.
  void conditional(int number, unsigned argument, sock_filter test, bool wanted) {
    const std::size_t at = offsetof(seccomp_data, args) + 8 * argument;
    add(BPF_STMT(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number)), 0, 4);
    load(at);
    add(test, wanted ? 0 : 1, wanted ? 1 : 0);
    add_return(SECCOMP_RET_ALLOW);
    load(offsetof(seccomp_data, nr));
  }

  std::vector<sock_filter> code_;
};

}  // namespace

bool forbid_system_calls(const SandboxReport& entered) {
  if (kArchitecture == 0) return false;
  const auto self = static_cast<std::uint32_t>(::getpid());
  // A GPU's driver opens a device anew for each piece of memory. Landlock knows which files.
  const bool devices = entered.devices && entered.landlock > 0;
  const std::uint32_t writing = devices ? kWriting & ~static_cast<std::uint32_t>(O_RDWR) : kWriting;
  Filter filter;
  for (const int number : kAllowed) filter.call(number);
  filter.call_without(SYS_openat, 2, writing);
#if defined(__x86_64__)
  filter.call_without(SYS_open, 1, writing);
#endif
  if (devices) {
    // NVIDIA's: requests of type 'F', and bare numbers for its unified memory.
    filter.call_masked(SYS_ioctl, 1, 0xff00, 'F' << 8);
    filter.call_masked(SYS_ioctl, 1, 0xffffff00, 0);
    filter.call_masked(SYS_ioctl, 1, 0xfffffff0, 0x30000000);
  }
  filter.call_with(SYS_clone, 0, CLONE_THREAD);            // threads, no processes
  filter.call_is(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);  // its flags cannot be seen: use clone
  // Libraries set a thread's policy to what it is, and may abort when they cannot. Real time needs
  // a privilege that is gone.
  filter.call_equal(SYS_sched_setscheduler, 1, SCHED_OTHER);
  filter.call_equal(SYS_sched_setscheduler, 1, SCHED_BATCH);
  filter.call_equal(SYS_tgkill, 0, self);
  filter.call_equal(SYS_prctl, 0, PR_SET_NAME);
  filter.call_equal(SYS_ioctl, 1, FIONREAD);
  filter.call_equal(SYS_ioctl, 1, FIONBIO);
  filter.call_equal(SYS_ioctl, 1, TCGETS);
  filter.call_equal(SYS_prlimit64, 0, 0);  // its own, which cannot rise
  return filter.install();
}

namespace {

// ---- privileges and limits ----------------------------------------------------------------------

bool give_up_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  for (int capability = 0; capability <= 63; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) break;  // none is left to drop, or none
  }                                                                 // may be dropped: see below
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) == 0) return true;
  __user_cap_data_struct left[2] = {};  // a service manager may forbid the call to who has none
  return ::syscall(SYS_capget, &header, left) == 0 && left[0].permitted == 0 &&
         left[1].permitted == 0;
}

void limit(int resource, rlim_t most) {
  rlimit now{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) return;
  const rlim_t value = std::min(most, now.rlim_max);
  const rlimit wanted{.rlim_cur = value, .rlim_max = value};
  (void)::setrlimit(static_cast<__rlimit_resource>(resource), &wanted);
}

// The last core that this process may use: the control loop's threads find the others sooner.
void keep_to_one_core() {
  cpu_set_t allowed, one;
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  int last = CPU_SETSIZE - 1;
  while (last > 0 && !CPU_ISSET(last, &allowed)) --last;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  (void)::sched_setaffinity(0, sizeof(one), &one);
}

}  // namespace

std::string SandboxReport::text() const {
  std::string text = seccomp ? "seccomp" : "no seccomp";
  text += landlock > 0 ? ", landlock " + std::to_string(landlock) : ", no landlock";
  if (memory_bytes > 0) text += ", at most " + std::to_string(memory_bytes / kMebibyte) + " MiB";
  if (devices) text += ", a GPU's devices open";
  if (landlock > 0) {
    for (const std::string& path : unreadable) text += ", cannot read " + path;
  }
  return text;
}

SandboxReport sandbox_of_this_kernel() {
  SandboxReport report;
  const std::uint32_t action = SECCOMP_RET_ERRNO;
  report.seccomp =
      kArchitecture != 0 && ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
  report.landlock = landlock_version();
  return report;
}

Result<SandboxReport> enter_sandbox(const SandboxOptions& options) {
  if (!give_up_privileges()) {
    return unavailable(std::string("the learner cannot give up its privileges: ") +
                       std::strerror(errno));
  }
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_RTPRIO, 0);
  limit(RLIMIT_NOFILE, kOpenFiles);
  limit(RLIMIT_FSIZE, kFileBytes);
  (void)::signal(SIGXFSZ, SIG_IGN);  // a log that is full is no reason to end
  if (options.memory_bytes > 0) limit(RLIMIT_DATA, options.memory_bytes);
  keep_to_one_core();
  const sched_param idle{};
  (void)::sched_setscheduler(0, SCHED_BATCH, &idle);

  SandboxReport report;
  report.memory_bytes = options.memory_bytes;
  report.landlock = enter_landlock(options, report.unreadable);
  report.devices = report.landlock > 0 && !options.writable.empty();
  return report;
}

}  // namespace nudge
