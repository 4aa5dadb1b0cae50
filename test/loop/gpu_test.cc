#include "src/learning/gpu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "policy/trainer.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class GpuFiles : public testing::Test {
 protected:
  void make_file(const std::string& path) {
    std::filesystem::create_directories((root() + path).substr(0, (root() + path).rfind('/')));
    std::ofstream(root() + path) << "x";
  }
  std::string root() const { return folder_ / "machine"; }
  static bool has(const std::vector<std::string>& paths, const std::string& path) {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
  }
  test::TempFolder folder_;
};

TEST_F(GpuFiles, WithoutADriverNothingMoreIsOpen) {
  make_file("/dev/null");
  SandboxOptions options;
  open_gpu_files(options, root());
  EXPECT_TRUE(options.writable.empty());
  EXPECT_TRUE(options.readable.empty());
}

TEST_F(GpuFiles, TheDevicesThatComputeAreOpenAndNeitherDisplaysNorOtherDisks) {
  for (const char* name : {"nvidia0", "nvidia12", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools",
                           "nvidia-modeset", "nvidia-nvswitch0", "sda", "mem"}) {
    make_file(std::string("/dev/") + name);
  }
  SandboxOptions options;
  open_gpu_files(options, root());
  for (const char* name : {"nvidia0", "nvidia12", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"}) {
    EXPECT_TRUE(has(options.writable, root() + "/dev/" + name)) << name;
  }
  for (const char* name : {"nvidia-modeset", "nvidia-nvswitch0", "sda", "mem"}) {
    EXPECT_FALSE(has(options.writable, root() + "/dev/" + name)) << name;
  }
  EXPECT_TRUE(has(options.writable, "/proc/self/task"));
}

TEST_F(GpuFiles, OfTheBusesOnlyTheGpusOwnFoldersAreRead) {
  make_file("/dev/nvidia0");
  make_file("/proc/driver/nvidia/params");
  make_file("/sys/devices/pci0000:00/0000:01:00.0/numa_node");
  make_file("/sys/bus/pci/drivers/nvidia/bind");
  std::filesystem::create_directory_symlink(root() + "/sys/devices/pci0000:00/0000:01:00.0",
                                            root() + "/sys/bus/pci/drivers/nvidia/0000:01:00.0");
  SandboxOptions options;
  open_gpu_files(options, root());
  EXPECT_TRUE(has(options.readable, root() + "/proc/driver/nvidia"));
  EXPECT_TRUE(has(options.readable,
                  std::filesystem::canonical(root() + "/sys/devices/pci0000:00/0000:01:00.0")));
  EXPECT_FALSE(has(options.readable, root() + "/sys/bus/pci/drivers/nvidia/bind"));
  EXPECT_FALSE(has(options.readable, root() + "/proc/devices"));  // it is not there
}

// In a process that the driver has not seen, as the learner's is: what is started anew here.
TEST(LearnersGpu, TrainsInTheSandboxBeforeAndAfterSystemCallsAreForbidden) {
  if (!torch_has_cuda()) GTEST_SKIP() << "LibTorch has no CUDA";
  if (!std::filesystem::exists("/dev/nvidiactl")) GTEST_SKIP() << "there is no GPU";
  if (!sandbox_of_this_kernel().whole()) GTEST_SKIP() << "the kernel lacks Landlock or seccomp";
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        use_one_torch_thread();
        Config config;
        SandboxOptions options;
        options.memory_bytes = static_cast<std::uint64_t>(config.learner.memory_mib) << 20;
        open_gpu_files(options);
        Result<SandboxReport> sandbox = enter_sandbox(options);
        std::string note;
        Status works = sandbox.status();
        if (works.ok()) works = settle_device(DeviceUse::kCuda, *sandbox, config, &note);
        if (works.ok()) {
          sandbox->seccomp = forbid_system_calls(*sandbox);
          works = settle_device(DeviceUse::kCuda, *sandbox, config, &note);
        }
        std::fprintf(stderr, "%s\n", works.ok() ? "it works" : works.message().c_str());
        std::_Exit(works.ok() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "it works");
}

class LearnersDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (gpu_is_there()) GTEST_SKIP() << "there is a GPU";
    use_one_torch_thread();
  }
  Config config_;
  SandboxReport sandbox_{.seccomp = true, .landlock = 7, .devices = true};
  std::string note_;
};

TEST_F(LearnersDevice, AutoWithoutAGpuIsTheCpu) {
  ASSERT_TRUE(settle_device(DeviceUse::kAuto, sandbox_, config_, &note_).ok());
  EXPECT_EQ(config_.learner.device, DeviceUse::kCpu);
}

TEST_F(LearnersDevice, CudaWithoutAGpuIsRefusedAndSaysWhatToDo) {
  const Status settled = settle_device(DeviceUse::kCuda, sandbox_, config_, &note_);
  EXPECT_EQ(settled.code(), Code::kFailedPrecondition);
  EXPECT_NE(settled.message().find("learner.device"), std::string::npos) << settled.message();
}

TEST_F(LearnersDevice, TheCpuNeedsNothing) {
  ASSERT_TRUE(settle_device(DeviceUse::kCpu, {}, config_, &note_).ok());
  EXPECT_EQ(config_.learner.device, DeviceUse::kCpu);
  EXPECT_EQ(note_, "");
}

TEST_F(LearnersDevice, AProgramDoesNotStartWithoutTheGpuThatItsConfigurationAsksFor) {
  EXPECT_TRUE(check_devices(config_).ok());
  config_.learner.device = DeviceUse::kCuda;
  EXPECT_NE(check_devices(config_).message().find("learner.device"), std::string::npos);
  config_.learner.device = DeviceUse::kCpu;
  config_.policy.device = DeviceUse::kCuda;
  EXPECT_NE(check_devices(config_).message().find("policy.device"), std::string::npos);
}

}  // namespace
}  // namespace nudge
