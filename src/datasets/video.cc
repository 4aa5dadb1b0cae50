#include "src/datasets/video.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "src/cli/plot.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxFrame = 64u << 20;

std::string errno_text() { return std::strerror(errno); }

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// ffmpeg with one end of a socket as its standard input or output. A socket, because writing to it
// raises no SIGPIPE. Its words are collected in a file that has no name.
class Ffmpeg {
 public:
  enum class Feeds { kInput, kOutput };

  Status start(const std::string& program, std::vector<std::string> arguments, Feeds feeds) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return unavailable("ffmpeg cannot be started: " + errno_text());
    }
    link_ = Descriptor(ends[0]);
    Descriptor far(ends[1]);
    char name[] = "/tmp/nudge-ffmpeg-XXXXXX";
    words_ = Descriptor(::mkostemp(name, O_CLOEXEC));
    if (words_.get() < 0) return unavailable("ffmpeg cannot be started: " + errno_text());
    ::unlink(name);
    arguments.insert(arguments.begin(),
                     {program, "-hide_banner", "-nostdin", "-loglevel", "error"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const bool in = feeds == Feeds::kInput;
    if (!in) posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (in) posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, far.get(), in ? 0 : 1);
    posix_spawn_file_actions_adddup2(&actions, words_.get(), 2);
    const int error =
        ::posix_spawn(&child_, program.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      child_ = 0;
      return unavailable(program + " cannot be started: " + std::strerror(error));
    }
    return {};
  }

  ~Ffmpeg() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      wait();
    }
  }

  int link() const { return link_.get(); }
  void close_link() { link_.close(); }

  // Its exit status; 0: well.
  int wait() {
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }

  std::string words() const {
    char text[600];
    const off_t size = ::lseek(words_.get(), 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(sizeof text));
    const ssize_t got = ::pread(words_.get(), text, sizeof text, from);
    std::string out(text, got > 0 ? static_cast<std::size_t>(got) : 0);
    while (!out.empty() && out.back() == '\n') out.pop_back();
    std::replace(out.begin(), out.end(), '\n', ' ');
    return out.empty() ? "it says nothing" : out;
  }

 private:
  pid_t child_ = 0;
  Descriptor link_, words_;
};

std::vector<std::string> codec_arguments(VideoCodec codec) {
  // As LeRobot encodes: nearly every frame can be decoded by itself, which training needs.
  if (codec == VideoCodec::kAv1) {
    return {"-c:v", "libsvtav1", "-preset", "12", "-crf", "30", "-g", "2"};
  }
  return {"-c:v", "libx264", "-crf", "23", "-g", "2"};
}

}  // namespace

std::string codec_name(VideoCodec codec) { return codec == VideoCodec::kAv1 ? "av1" : "h264"; }

Result<std::string> find_ffmpeg() {
  std::string path = find_program("ffmpeg");
  if (path.empty()) {
    return unavailable(
        "the ffmpeg program is not installed; apt-get install ffmpeg, or keep the "
        "pictures as they are with --pictures embedded");
  }
  return path;
}

Status check_codec(const std::string& ffmpeg, VideoCodec codec) {
  const std::string name = codec == VideoCodec::kAv1 ? "libsvtav1" : "libx264";
  Ffmpeg process;
  NUDGE_TRY(process.start(ffmpeg, {"-h", "encoder=" + name}, Ffmpeg::Feeds::kOutput));
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = ::read(process.link(), buffer, sizeof buffer)) > 0;) {
    if (text.size() < 65'536) text.append(buffer, static_cast<std::size_t>(got));
  }
  process.wait();
  if (text.find("Encoder " + name) != std::string::npos) return {};
  return unavailable(ffmpeg + " cannot write " + codec_name(codec) + " (it lacks " + name +
                     "); choose another --codec, or install the distribution's ffmpeg");
}

struct VideoEncoder::State {
  Ffmpeg process;
  std::string path;
};

VideoEncoder::VideoEncoder() : state_(std::make_unique<State>()) {}
VideoEncoder::~VideoEncoder() = default;

Result<std::unique_ptr<VideoEncoder>> VideoEncoder::start(const std::string& ffmpeg,
                                                          const std::string& path, int fps,
                                                          VideoCodec codec) {
  std::unique_ptr<VideoEncoder> encoder(new VideoEncoder());
  encoder->state_->path = path;
  std::vector<std::string> arguments = {
      "-y", "-f", "image2pipe", "-framerate", std::to_string(fps), "-c:v", "mjpeg", "-i", "pipe:0"};
  for (std::string& argument : codec_arguments(codec)) arguments.push_back(std::move(argument));
  // Odd sizes cannot be halved for the colours.
  for (const char* argument :
       {"-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-f", "mp4"}) {
    arguments.emplace_back(argument);
  }
  arguments.push_back(path);
  NUDGE_TRY(encoder->state_->process.start(ffmpeg, std::move(arguments), Ffmpeg::Feeds::kInput));
  return encoder;
}

Status VideoEncoder::add(std::span<const std::byte> jpeg) {
  while (!jpeg.empty()) {
    const ssize_t sent = ::send(state_->process.link(), jpeg.data(), jpeg.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) {
      state_->process.close_link();
      state_->process.wait();
      return internal("ffmpeg gave up on " + state_->path + ": " + state_->process.words());
    }
    jpeg = jpeg.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

Status VideoEncoder::finish() {
  state_->process.close_link();
  if (state_->process.wait() == 0) return {};
  return internal("ffmpeg could not write " + state_->path + ": " + state_->process.words());
}

struct VideoDecoder::State {
  Ffmpeg process;
  std::string path;
  std::vector<std::byte> waiting;  // read and not yet given
  bool ended = false;
};

VideoDecoder::VideoDecoder() : state_(std::make_unique<State>()) {}
VideoDecoder::~VideoDecoder() = default;

Result<std::unique_ptr<VideoDecoder>> VideoDecoder::start(const std::string& ffmpeg,
                                                          const std::string& path, Input input) {
  std::unique_ptr<VideoDecoder> decoder(new VideoDecoder());
  decoder->state_->path = path;
  std::vector<std::string> arguments;
  if (input == Input::kPictures) arguments = {"-f", "image2pipe"};
  // Only files: a name such as "http:..." is none of ours to fetch.
  for (const char* argument : {"-protocol_whitelist", "file,pipe", "-i"}) {
    arguments.emplace_back(argument);
  }
  arguments.push_back("file:" + path);
  for (const char* argument : {"-map", "0:v:0", "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v",
                               "2", "-pix_fmt", "yuvj420p", "-f", "image2pipe", "pipe:1"}) {
    arguments.emplace_back(argument);
  }
  NUDGE_TRY(decoder->state_->process.start(ffmpeg, std::move(arguments), Ffmpeg::Feeds::kOutput));
  return decoder;
}

namespace {

// Length of the JPEG that `bytes` begin with; 0: more is needed; -1: it is none.
std::ptrdiff_t jpeg_length(std::span<const std::byte> bytes) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  if (bytes.size() < 2) return 0;
  if (at(0) != 0xFF || at(1) != 0xD8) return -1;
  std::size_t i = 2;
  bool scan = false;  // between the markers of a scan lie its compressed bytes
  while (i + 1 < bytes.size()) {
    if (at(i) != 0xFF) {
      if (!scan) return -1;
      ++i;
      continue;
    }
    const std::uint8_t marker = at(i + 1);
    if (marker == 0x00 || marker == 0xFF || (marker >= 0xD0 && marker <= 0xD7)) {
      i += marker == 0xFF ? 1 : 2;
      continue;
    }
    if (marker == 0xD9) return static_cast<std::ptrdiff_t>(i + 2);
    if (i + 3 >= bytes.size()) return 0;
    scan = marker == 0xDA;
    i += 2 + ((std::size_t{at(i + 2)} << 8) | at(i + 3));
  }
  return 0;
}

}  // namespace

Result<std::optional<std::vector<std::byte>>> VideoDecoder::next() {
  State& s = *state_;
  std::size_t looked = 0;  // so that a large frame is not searched at every read
  while (true) {
    if (s.waiting.size() >= looked) {
      const std::ptrdiff_t length = jpeg_length(s.waiting);
      if (length < 0 || s.waiting.size() > kMaxFrame) {
        return data_loss(s.path + ": ffmpeg gives something that is no picture");
      }
      if (length > 0) {
        std::vector<std::byte> frame(s.waiting.begin(), s.waiting.begin() + length);
        s.waiting.erase(s.waiting.begin(), s.waiting.begin() + length);
        return std::optional(std::move(frame));
      }
      looked = 2 * s.waiting.size();
    }
    if (s.ended) {
      if (looked > s.waiting.size() && !s.waiting.empty()) {
        looked = 0;
        const std::ptrdiff_t length = jpeg_length(s.waiting);
        if (length > 0) continue;
        return data_loss(s.path + ": its last picture is cut off");
      }
      return std::optional<std::vector<std::byte>>();
    }
    std::array<std::byte, 65'536> buffer;
    const ssize_t got = ::read(s.process.link(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got > 0) {
      s.waiting.insert(s.waiting.end(), buffer.begin(), buffer.begin() + got);
      continue;
    }
    s.ended = true;
    s.process.close_link();
    if (s.process.wait() != 0) {
      return data_loss(s.path + " cannot be read: ffmpeg says: " + s.process.words());
    }
  }
}

}  // namespace nudge
