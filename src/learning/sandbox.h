// What the learner process gives up before it reads anything that people or robots have made: so
// that whoever gets code to run in there, through a damaged segment or a bug of a library, has no
// key, no token, no network, no other process, and nothing to write to but the socket that it has.
//
//   no new privileges, no capabilities   always
//   rlimits                              memory, files, size of files, no core dump
//   one core                             however many threads it makes; it cannot ask for more
//   Landlock                             may read two folders, the system's libraries, and no more;
//                                        no signals to others, no tracing of them
//   seccomp                              a list of system calls; all others answer EPERM
//
// In two steps, since Landlock binds the caller and the threads that it makes from then on, and
// seccomp takes away what a connection is made with:
//
//   enter_sandbox(options);          // before any thread is made
//   ...                              // connects to the daemon
//   forbid_system_calls();           // before anything is read
//
// For good: there is no way back. Linux only; what the kernel lacks is told, and the daemon, whom
// the learner tells in its hello, decides (learner.require_sandbox).
//
// A GPU needs more: files of its driver that may be opened for writing at any time, and a driver's
// own requests (ioctl). Both are left open only where SandboxOptions::writable names files and
// Landlock is there to hold the process to them; all that was said above stays.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nudge/status.h"

namespace nudge {

struct SandboxOptions {
  std::vector<std::string> readable;  // folders with all that is in them
  // Files and folders whose files may be opened for reading and writing, but not made or removed;
  // devices among them may be spoken to. Empty, or without Landlock: nothing may.
  std::vector<std::string> writable;
  std::uint64_t memory_bytes = 0;  // of private memory; 0: no limit
};

struct SandboxReport {
  bool seccomp = false;
  int landlock = 0;                // its version; 0: not in this kernel
  bool devices = false;            // what SandboxOptions::writable names is open
  std::uint64_t memory_bytes = 0;  // 0: no limit
  // Of SandboxOptions::readable, what Landlock could not be given, as it is not there: closed like
  // all else.
  std::vector<std::string> unreadable = {};

  bool whole() const { return seccomp && landlock > 0; }
  // "seccomp, landlock 7, at most 4096 MiB, a GPU's devices open, cannot read /state/weights"
  std::string text() const;
};

// The first step. `seccomp` of its report is false. kUnavailable: not even the privileges could be
// given up.
Result<SandboxReport> enter_sandbox(const SandboxOptions& options);
// The second, of all threads there are; `entered` is what the first has told. What is connected,
// mapped and open stays. False: the kernel has no seccomp, or the machine is none that the list is
// for.
bool forbid_system_calls(const SandboxReport& entered = {});

// What both would find in this kernel; nothing is given up.
SandboxReport sandbox_of_this_kernel();

}  // namespace nudge
