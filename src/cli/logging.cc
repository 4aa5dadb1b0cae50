#include "src/cli/logging.h"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>

#include "nudge/utf8.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxMessage = 4096;  // bytes; a line is not the place for more

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "info";
}

// A line stays one line, and a terminal is sent no commands.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : for_terminal(text.substr(0, kMaxMessage))) {
    if (c == '\n') {
      out += "\\x0a";
    } else if (c == '\t') {
      out += "\\x09";
    } else {
      out += c;
    }
  }
  return out;
}

// Values with spaces are quoted, so that fields can be told apart.
std::string text_value(std::string_view value) {
  std::string text = escaped(value);
  if (!text.empty() && text.find_first_of(" \"=") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

// Lines as they are, to a stream that is not ours. Called by the logger's thread only; the mutex is
// base_sink's.
class StreamSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit StreamSink(std::FILE* output) : output_(output) {}

  // Waits until `done` says so; it is asked again after every line.
  template <typename Done>
  void wait(Done&& done) {
    std::unique_lock lock(written_mutex_);
    // The time limit covers lines that gave way: those never arrive here.
    while (!done(written_)) line_written_.wait_for(lock, std::chrono::milliseconds(5));
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // A full disk must not stop the program; what cannot be written is lost.
    std::fwrite(message.payload.data(), 1, message.payload.size(), output_);
    std::fputc('\n', output_);
    std::fflush(output_);
    {
      const std::lock_guard lock(written_mutex_);
      ++written_;
    }
    line_written_.notify_all();
  }
  void flush_() override { std::fflush(output_); }

 private:
  std::FILE* output_;
  std::mutex written_mutex_;
  std::condition_variable line_written_;
  std::uint64_t written_ = 0;
};

}  // namespace

struct Logger::Parts {
  LogFormat format = LogFormat::kText;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<StreamSink> sink;
  std::shared_ptr<spdlog::async_logger> logger;
  std::atomic<std::uint64_t> accepted{0};
};

Logger::Logger(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Logger::~Logger() {
  // The pool's destructor writes what waits and joins; it must go after nobody can log any more.
  parts_->logger.reset();
  parts_->pool.reset();
}

Result<std::unique_ptr<Logger>> Logger::start(const Config::Logging& options, std::FILE* output) {
  try {
    auto parts = std::make_unique<Parts>();
    parts->format = options.format;
    parts->pool =
        std::make_shared<spdlog::details::thread_pool>(static_cast<std::size_t>(options.queue), 1);
    parts->sink = std::make_shared<StreamSink>(output);
    parts->logger = std::make_shared<spdlog::async_logger>(
        "nudge", parts->sink, parts->pool, spdlog::async_overflow_policy::overrun_oldest);
    parts->logger->set_level(spdlog_level(options.level));
    return std::unique_ptr<Logger>(new Logger(std::move(parts)));
  } catch (const std::exception& e) {
    return internal(std::string("the log lines cannot be set up: ") + e.what());
  }
}

void Logger::log(LogLevel level, std::string_view component, std::string_view message,
                 const LogFields& fields) {
  const auto severity = spdlog_level(level);
  if (!parts_->logger->should_log(severity)) return;
  const std::string time =
      rfc3339(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()));
  std::string line;
  if (parts_->format == LogFormat::kJson) {
    nlohmann::ordered_json object;
    object["ts"] = time;
    object["level"] = level_name(level);
    object["component"] = component;
    object["message"] = message.substr(0, kMaxMessage);
    // A field may not pass for one of the four above.
    for (const auto& [name, value] : fields) {
      if (!object.contains(name)) object[name] = value.substr(0, kMaxMessage);
    }
    line = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  } else {
    std::string name(level_name(level));
    name.resize(5, ' ');
    line = time + " " + name + " " + escaped(component) + ": " + escaped(message);
    for (const auto& [field, value] : fields)
      line += " " + escaped(field) + "=" + text_value(value);
  }
  parts_->accepted.fetch_add(1, std::memory_order_relaxed);
  parts_->logger->log(severity, spdlog::string_view_t(line.data(), line.size()));
}

std::uint64_t Logger::dropped() const { return parts_->pool->overrun_counter(); }

void Logger::flush() {
  const std::uint64_t target = parts_->accepted.load();
  parts_->sink->wait([&](std::uint64_t written) { return written + dropped() >= target; });
}

std::string rfc3339(WallTime time) {
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const auto second = std::chrono::floor<std::chrono::seconds>(whole);
  const std::time_t unix_seconds = second.count();
  std::tm utc{};
  gmtime_r(&unix_seconds, &utc);
  char text[80];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                static_cast<int>((whole - second).count()));
  return text;
}

}  // namespace nudge
