// A child that has entered the learner's sandbox tries to get out.
#include "src/learning/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

// 0: it did as it was told. Others are the child's own words.
constexpr int kNoSandbox = 100;

class Sandbox : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"weights", "segments", "run", "keys"}) {
      std::filesystem::create_directory(folder_ / name);
      std::ofstream(folder_ / (std::string(name) + "/file")) << "content of " << name;
    }
    std::ofstream(folder_ / "log.db") << "the log";
    if (!sandbox_of_this_kernel().whole()) GTEST_SKIP() << "the kernel lacks Landlock or seccomp";
  }

  // What the child's work answers, inside the sandbox.
  int inside(const std::function<int()>& work, std::uint64_t memory = 0,
             const std::vector<std::string>& writable = {}) {
    const pid_t child = ::fork();
    if (child == 0) {
      SandboxOptions options;
      options.readable = {folder_ / "weights", folder_ / "segments"};
      options.writable = writable;
      options.memory_bytes = memory;
      const auto report = enter_sandbox(options);
      if (!report.ok() || report->landlock == 0 || !forbid_system_calls(*report)) {
        ::_exit(kNoSandbox);
      }
      ::_exit(work());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
  }
  static int opens(const std::string& path, int flags = O_RDONLY) {
    return ::open(path.c_str(), flags | O_CLOEXEC, 0600) >= 0 ? 1 : 0;
  }

  // What this process has already, and its stack; a sanitizer's shadow is most of it.
  static std::uint64_t private_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t pages = 0;
    for (int field = 0; field < 6; ++field) file >> pages;  // the sixth: data and stack
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }

  test::TempFolder folder_;
};

TEST_F(Sandbox, ReadsSegmentsAndWeightsAndWorksInThreads) {
  EXPECT_EQ(inside([&] {
              if (opens(folder_ / "weights/file") == 0 || opens(folder_ / "segments/file") == 0) {
                return 1;
              }
              int sum = 0;
              std::thread worker([&] {
                std::vector<int> many(1 << 20, 1);
                for (const int one : many) sum += one;
              });
              worker.join();
              return sum == 1 << 20 ? 0 : 2;
            }),
            0);
}

TEST_F(Sandbox, ReadsNoKeyNoTokenNoDatabaseAndNothingElseOfTheUsers) {
  for (const char* name : {"run/file", "keys/file", "log.db"}) {
    EXPECT_EQ(inside([&] { return opens(folder_ / name); }), 0) << name;
  }
  for (const std::string path :
       {"/etc/passwd", "/proc/self/environ", "/tmp", "/root", "/home", "/var/log"}) {
    EXPECT_EQ(inside([&] { return opens(path); }), 0) << path;
  }
  // Not through a name that it may use, either.
  std::filesystem::create_symlink(folder_ / "keys/file", folder_ / "weights/link");
  EXPECT_EQ(inside([&] { return opens(folder_ / "weights/link"); }), 0);
  EXPECT_EQ(inside([&] { return opens(folder_ / "weights/../keys/file"); }), 0);
}

TEST_F(Sandbox, WritesNothing) {
  EXPECT_EQ(inside([&] { return opens(folder_ / "weights/file", O_WRONLY); }), 0);
  EXPECT_EQ(inside([&] { return opens(folder_ / "weights/new", O_RDWR | O_CREAT); }), 0);
  EXPECT_EQ(inside([&] { return opens("/dev/shm/nudge-sandbox", O_RDWR | O_CREAT); }), 0);
  EXPECT_EQ(inside([&] { return opens(folder_ / "weights", O_RDWR | O_TMPFILE); }), 0);
  EXPECT_EQ(inside([&] { return ::unlink((folder_ / "weights/file").c_str()) == 0; }), 0);
  EXPECT_EQ(inside([&] {
              return ::rename((folder_ / "weights/file").c_str(),
                              (folder_ / "weights/other").c_str()) == 0;
            }),
            0);
  EXPECT_EQ(inside([&] { return ::mkdir((folder_ / "weights/new").c_str(), 0700) == 0; }), 0);
}

// Stands for a GPU's device here.
constexpr const char* kDevice = "/dev/full";

TEST_F(Sandbox, WithAGpuItOpensTheDeviceAndNothingElseForWriting) {
  const auto tries = [&](const std::string& path, int flags) {
    return inside([&] { return opens(path, flags); }, 0, {kDevice, "/proc/self/task"});
  };
  EXPECT_EQ(tries(kDevice, O_RDWR), 1);
  EXPECT_EQ(tries("/dev/zero", O_RDWR), 0);
  EXPECT_EQ(tries(folder_ / "weights/file", O_RDWR), 0);
  EXPECT_EQ(tries(folder_ / "weights/file", O_RDONLY), 1);
  EXPECT_EQ(tries(folder_ / "keys/file", O_RDWR), 0);
  EXPECT_EQ(tries(folder_ / "keys/file", O_RDONLY), 0);
  EXPECT_EQ(tries(folder_ / "weights/new", O_RDWR | O_CREAT), 0);
  EXPECT_EQ(tries("/dev/shm/nudge-sandbox", O_RDWR | O_CREAT), 0);
  EXPECT_EQ(inside([&] { return opens(kDevice, O_RDWR); }), 0);  // not without one
}

TEST_F(Sandbox, WithAGpuItSendsTheDriversRequestsAndNoOthers) {
  const auto allowed = [&](unsigned long request, const std::vector<std::string>& writable) {
    return inside(
        [&] {
          // What opens no device but where it may, and knows none of them: what is let through
          // comes back as that.
          int ends[2];
          const int end = writable.empty() ? (::pipe(ends) == 0 ? ends[0] : -1)
                                           : ::open(kDevice, O_RDWR | O_CLOEXEC);
          errno = 0;
          (void)::ioctl(end, request, nullptr);
          return errno == ENOTTY ? 1 : 0;
        },
        0, writable);
  };
  constexpr unsigned long kOfItsKind = 0xc020462a, kUnifiedMemory = 37, kBegin = 0x30000001;
  constexpr unsigned long kTypeIntoATerminal = 0x5412;
  for (const unsigned long request : {kOfItsKind, kUnifiedMemory, kBegin}) {
    EXPECT_EQ(allowed(request, {kDevice}), 1) << request;
    EXPECT_EQ(allowed(request, {}), 0) << request;
  }
  EXPECT_EQ(allowed(kTypeIntoATerminal, {kDevice}), 0);
}

TEST_F(Sandbox, WithAGpuItNamesItsThreads) {
  EXPECT_EQ(inside(
                [&] {
                  const std::string file =
                      "/proc/self/task/" + std::to_string(::gettid()) + "/comm";
                  const int name = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
                  return name >= 0 && ::write(name, "one", 3) == 3 ? 0 : 1;
                },
                0, {kDevice, "/proc/self/task"}),
            0);
}

TEST(SandboxReport, OpensNoDeviceWhereLandlockDoesNotHoldIt) {
  const pid_t child = ::fork();
  if (child == 0) {
    SandboxReport without;
    without.devices = true;  // as no report says it
    if (!forbid_system_calls(without)) ::_exit(kNoSandbox);
    ::_exit(::open(kDevice, O_RDWR | O_CLOEXEC) >= 0 ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == kNoSandbox) GTEST_SKIP() << "the kernel lacks seccomp";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Sandbox, HasNoNetworkAndNoNewConnection) {
  for (const int domain : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET}) {
    EXPECT_EQ(inside([&] { return ::socket(domain, SOCK_STREAM, 0) >= 0; }), 0) << domain;
  }
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  EXPECT_EQ(inside([&] {  // but keeps what it has
              return ::send(pair[0], "x", 1, MSG_NOSIGNAL) == 1 ? 0 : 1;
            }),
            0);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_F(Sandbox, StartsNoProcessAndNoProgram) {
  EXPECT_EQ(inside([] { return ::fork() >= 0 ? 1 : 0; }), 0);
  EXPECT_EQ(inside([] {
              char program[] = "/bin/true";
              char* const arguments[] = {program, nullptr};
              ::execv(program, arguments);
              return 0;  // an exec that works does not come here, and its program ends with 0 too
            }),
            0);
  EXPECT_EQ(inside([] {
              char program[] = "/bin/false";
              char* const arguments[] = {program, nullptr};
              ::execv(program, arguments);
              return 0;
            }),
            0);
}

TEST_F(Sandbox, TouchesNoOtherProcess) {
  EXPECT_EQ(inside([] { return ::kill(::getppid(), 0) == 0 ? 1 : 0; }), 0);
  EXPECT_EQ(inside([] { return ::ptrace(PTRACE_ATTACH, ::getppid(), 0, 0) == 0 ? 1 : 0; }), 0);
  EXPECT_EQ(inside([] { return opens("/proc/" + std::to_string(::getppid()) + "/mem"); }), 0);
  EXPECT_EQ(inside([] {
              const rlimit none{0, 0};
              return ::prlimit(::getppid(), RLIMIT_NOFILE, &none, nullptr) == 0 ? 1 : 0;
            }),
            0);
  EXPECT_EQ(inside([] { return ::setpriority(PRIO_PROCESS, 0, -5) == 0 ? 1 : 0; }), 0);
}

TEST_F(Sandbox, CanStillAbort) {
  EXPECT_EQ(inside([] {
              ::signal(SIGABRT, SIG_DFL);
              ::abort();
              return 0;
            }),
            200 + SIGABRT);
}

TEST_F(Sandbox, TakesNoMoreMemoryThanItIsGiven) {
  const auto takes = [](std::size_t bytes) {
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? 0 : 1;
  };
  const std::uint64_t limit = private_bytes() + (4ull << 30);
  EXPECT_EQ(inside([&] { return takes(64u << 20); }, limit), 1);
  EXPECT_EQ(inside([&] { return takes(5ull << 30); }, limit), 0);
}

TEST_F(Sandbox, GoesOnWhenItsLogIsFull) {
  const std::string path = folder_ / "learner.log";
  const int log = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  ASSERT_GE(log, 0);
  EXPECT_EQ(inside([&] {
              if (::pwrite(log, "x", 1, 1 << 20) != 1) return 1;
              return ::pwrite(log, "x", 1, 64 << 20) == -1 && errno == EFBIG ? 0 : 2;
            }),
            0);
  ::close(log);
}

TEST_F(Sandbox, IsEnteredAllTheSameWhenAFolderIsMissingAndSaysWhich) {
  std::filesystem::remove_all(folder_ / "segments");
  int answers[2];
  ASSERT_EQ(::pipe(answers), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    SandboxOptions options;
    options.readable = {folder_ / "weights", folder_ / "segments"};
    auto report = enter_sandbox(options);
    if (!report.ok()) ::_exit(kNoSandbox);
    report->seccomp = forbid_system_calls(*report);
    const std::string text = report->text();
    if (::write(answers[1], text.data(), text.size()) < 0 || !report->whole()) ::_exit(1);
    ::_exit(opens(folder_ / "keys/file") == 0 && opens(folder_ / "weights/file") == 1 ? 0 : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  char text[4096];
  const ssize_t size = ::read(answers[0], text, sizeof text);
  ASSERT_GT(size, 0);
  const std::string said(text, static_cast<std::size_t>(size));
  EXPECT_NE(said.find("cannot read " + (folder_ / "segments")), std::string::npos) << said;
  ::close(answers[0]);
  ::close(answers[1]);
}

TEST_F(Sandbox, HasOneCoreAndGetsNoOther) {
  EXPECT_EQ(inside([] {
              cpu_set_t cores;
              if (::sched_getaffinity(0, sizeof(cores), &cores) != 0) return 2;
              if (CPU_COUNT(&cores) != 1) return 1;
              for (int cpu = 0; cpu < 64; ++cpu) CPU_SET(cpu, &cores);
              return ::sched_setaffinity(0, sizeof(cores), &cores) == 0 ? 1 : 0;
            }),
            0);
}

TEST_F(Sandbox, HasNoPrivilegesLeft) {
  EXPECT_EQ(inside([] {
              const rlimit more{.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
              return ::setrlimit(RLIMIT_NOFILE, &more) == 0 ? 1 : 0;
            }),
            0);
}

}  // namespace
}  // namespace nudge
