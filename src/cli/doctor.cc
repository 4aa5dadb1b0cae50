#include "src/cli/doctor.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "src/cli/blas.h"
#include "src/cli/plot.h"
#include "src/cli/terminal.h"
#include "src/core/statistics.h"

namespace nudge {
namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;

std::string_view state_name(CheckState state) {
  switch (state) {
    case CheckState::kOk: return "ok";
    case CheckState::kWarn: return "warn";
    case CheckState::kFail: return "fail";
  }
  return "fail";
}

std::string milliseconds_text(double ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f ms", ms);
  return text;
}

CheckResult check_settings(const Config& config) {
  const Status status = check_config(config);
  if (status.ok()) return {CheckState::kOk, "all values are allowed", ""};
  return {CheckState::kFail, status.message(), "correct these; `nudge config check` looks again"};
}

CheckResult check_blas() {
  const std::string core = blas_core_name();
  const std::string wanted = blas_core_type(cpu_features());
  if (core.empty()) {
    return {CheckState::kWarn, "OpenBLAS is not loaded, or does not tell its core type",
            "if learning is slow, install libopenblas0 and make it the BLAS of the system"};
  }
  const BlasEnvironment changes =
      blas_environment(cpu_features(), core, [](const char*) -> const char* { return nullptr; });
  const bool slow = std::any_of(changes.begin(), changes.end(), [](const auto& change) {
    return change.first == "OPENBLAS_CORETYPE";
  });
  if (slow) {
    return {CheckState::kWarn, "OpenBLAS runs its kernels for " + core + ", this CPU can do more",
            "set OPENBLAS_CORETYPE=" + wanted + ", or unset it and let Nudge choose"};
  }
  return {CheckState::kOk, "OpenBLAS core type " + core, ""};
}

CheckResult check_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
  std::string detail = std::to_string(cores) + " CPU cores";
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}) {
    const char* value = std::getenv(name);
    detail += std::string(", ") + name + "=" + (value != nullptr ? value : "unset");
    if (value == nullptr || std::strcmp(value, "1") != 0) {
      return {CheckState::kWarn, detail,
              std::string("set ") + name + "=1: further threads only disturb the control loop"};
    }
  }
  if (cores < 2) {
    return {CheckState::kWarn, detail, "give it two cores: control and learning share one here"};
  }
  return {CheckState::kOk, detail, ""};
}

CheckResult check_gl(bool cameras) {
  std::string found;
  for (const char* library : {"libEGL.so.1", "libOSMesa.so.8", "libOSMesa.so.6"}) {
    void* handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
    if (handle == nullptr) continue;
    dlclose(handle);
    found += (found.empty() ? "" : ", ") + std::string(library);
  }
  if (!found.empty()) return {CheckState::kOk, found, ""};
  return {cameras ? CheckState::kFail : CheckState::kWarn,
          "neither EGL nor OSMesa can be loaded, so the simulated cameras cannot be rendered",
          "apt-get install libegl1 libgl1-mesa-dri, or set sim.cameras = false"};
}

CheckResult check_disk(const std::string& dir, std::int64_t needed_bytes) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) {
    return {CheckState::kFail, dir + " cannot be created: " + error.message(),
            "set state.dir to a folder that this user may write"};
  }
  struct statvfs space {};
  if (statvfs(dir.c_str(), &space) != 0) {
    return {CheckState::kFail, dir + ": " + std::strerror(errno), "set state.dir to a local disk"};
  }
  const double free_mib =
      static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize) / kMebibyte;
  std::string name = dir + "/.doctor-XXXXXX";
  const int file = mkstemp(name.data());
  if (file < 0) {
    return {CheckState::kFail, dir + " cannot be written: " + std::strerror(errno),
            "set state.dir to a folder that this user may write"};
  }
  const std::vector<char> block(4096, 'n');
  std::vector<double> ms;
  bool written = true;
  for (int i = 0; i < 20 && written; ++i) {
    const auto start = std::chrono::steady_clock::now();
    written = write(file, block.data(), block.size()) == static_cast<ssize_t>(block.size()) &&
              fdatasync(file) == 0;
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
                     .count());
  }
  const int code = errno;
  close(file);
  unlink(name.c_str());
  if (!written) {
    return {CheckState::kFail, dir + " cannot be written: " + std::strerror(code),
            "free some space, or set state.dir to another disk"};
  }
  const std::string detail = std::to_string(static_cast<long>(free_mib)) + " MiB free in " + dir +
                             ", a durable write takes " + milliseconds_text(median(ms)) +
                             " (slowest of 20: " + milliseconds_text(percentile(ms, 1)) + ")";
  const double needed_mib = static_cast<double>(needed_bytes) / kMebibyte;
  if (free_mib < std::max(512.0, 2 * needed_mib)) {
    return {CheckState::kFail, detail, "free some space, or set state.dir to another disk"};
  }
  if (free_mib < 5 * 1024)
    return {CheckState::kWarn, detail, "an hour with cameras needs about 1 GiB"};
  if (median(ms) > 5) {
    return {CheckState::kWarn, detail,
            "feedback is acknowledged when it is durable; a faster disk answers sooner"};
  }
  return {CheckState::kOk, detail, ""};
}

CheckResult check_clock() {
  std::ifstream in("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string source;
  if (!(in >> source)) {
    return {CheckState::kWarn, "the clock source cannot be read",
            "nothing, if this is a container"};
  }
  if (source == "hpet" || source == "acpi_pm" || source == "jiffies" ||
      source == "refined-jiffies") {
    return {CheckState::kWarn, "clock source " + source + " is slow to read",
            "boot with clocksource=tsc if the CPU's counter is stable"};
  }
  return {CheckState::kOk, "clock source " + source, ""};
}

CheckResult check_real_time() {
  sched_param before{};
  const int policy = sched_getscheduler(0);
  sched_getparam(0, &before);
  sched_param wanted{};
  wanted.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_FIFO, &wanted) == 0) {
    sched_setscheduler(0, policy, &before);
    return {CheckState::kOk, "real-time scheduling is permitted", ""};
  }
  return {CheckState::kWarn, std::string("no real-time scheduling: ") + std::strerror(errno),
          "give the service LimitRTPRIO=50 (systemd) or the CAP_SYS_NICE capability; without it a "
          "busy machine delays control ticks by milliseconds"};
}

CheckResult check_gnuplot() {
  const std::string path = find_program("gnuplot");
  if (!path.empty()) return {CheckState::kOk, path, ""};
  return {CheckState::kWarn, "gnuplot is not installed, so no learning curve is drawn",
          "apt-get install gnuplot-nox"};
}

CheckResult check_driver(RobotDriver driver) {
  if (driver == RobotDriver::kRemote) {
    return {CheckState::kOk,
            "a remote robot: its client holds when this daemon is silent; nothing here stops the "
            "robot when the client's own process is stopped",
            "give the robot's controller a command timeout or a hardware watchdog; see "
            "docs/how-to/wire-a-real-stop.md"};
  }
  if (driver == RobotDriver::kOpenpi) {
    return {CheckState::kWarn,
            "a program of the openpi protocol plays each chunk to its end: neither STOP nor a "
            "stopped daemon ends one",
            "give the robot's controller a command timeout, let the program ask after few steps, "
            "and wire a real stop; see docs/reference/openpi-port.md"};
  }
  return {CheckState::kOk,
          "a driver inside this process cannot stop a robot once the process is stopped or killed; "
          "the simulated kitchen needs no stopping",
          "give a real robot a timeout in its controller or its hardware; see "
          "docs/how-to/wire-a-real-stop.md"};
}

}  // namespace

std::vector<Check> standard_checks(const Config& config) {
  const std::string dir = config.state.dir;
  const std::int64_t bytes = config.log.segment_bytes + config.log.wal_limit_bytes;
  const bool cameras = config.sim.cameras;
  const RobotDriver driver = config.robot.driver;
  return {
      {"config", [config] { return check_settings(config); }},
      {"blas", check_blas},
      {"threads", check_threads},
      {"gl", [cameras] { return check_gl(cameras); }},
      {"disk", [dir, bytes] { return check_disk(dir, bytes); }},
      {"clock", check_clock},
      {"real-time", check_real_time},
      {"gnuplot", check_gnuplot},
      {"driver", [driver] { return check_driver(driver); }},
  };
}

std::vector<NamedResult> run_checks(const std::vector<Check>& checks) {
  std::vector<NamedResult> results;
  for (const Check& check : checks) results.push_back({check.name, check.run()});
  return results;
}

bool any_failed(const std::vector<NamedResult>& results) {
  return std::any_of(results.begin(), results.end(),
                     [](const NamedResult& r) { return r.result.state == CheckState::kFail; });
}

std::string doctor_text(const std::vector<NamedResult>& results) {
  Table table({"check", "state", "found"});
  for (const NamedResult& r : results) {
    // A table has one line a row; further lines of a message follow in rows of their own.
    std::size_t begin = 0;
    for (bool first = true; first || begin <= r.result.detail.size(); first = false) {
      const std::size_t end = std::min(r.result.detail.find('\n', begin), r.result.detail.size());
      table.add({first ? r.name : "", first ? std::string(state_name(r.result.state)) : "",
                 r.result.detail.substr(begin, end - begin)});
      begin = end + 1;
    }
    if (!r.result.advice.empty()) table.add({"", "", "-> " + r.result.advice});
  }
  return table.text();
}

std::string doctor_json(const std::vector<NamedResult>& results) {
  nlohmann::ordered_json out;
  out["ok"] = !any_failed(results);
  out["checks"] = nlohmann::ordered_json::array();
  for (const NamedResult& r : results) {
    out["checks"].push_back({{"name", r.name},
                             {"state", state_name(r.result.state)},
                             {"detail", r.result.detail},
                             {"advice", r.result.advice}});
  }
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace nudge
